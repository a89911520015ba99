// SPDX-License-Identifier: Apache-2.0
#include "net/tls.hpp"

#include "net/io_error.hpp"
#include "net/sockaddr.hpp"
#include "trireme/base/error.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

namespace trireme::net {
namespace {

constexpr std::size_t record_bytes = 16384;
constexpr std::array<unsigned char, 2> tls_suite{0x13, 0x01};  // TLS_AES_128_GCM_SHA256: the hash of the secret
constexpr std::array<unsigned char, 7> psk_identity{'t', 'r', 'i', 'r', 'e', 'm', 'e'};

/// A socket as OpenSSL sees it; its own would send without MSG_NOSIGNAL.
int bio_write(BIO* bio, const char* data, int length) {
  const auto descriptor = static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
  BIO_clear_retry_flags(bio);
  ssize_t count = 0;
  do count = ::send(descriptor, data, static_cast<std::size_t>(length), MSG_NOSIGNAL | MSG_DONTWAIT);
  while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
  return static_cast<int>(count);
}

int bio_read(BIO* bio, char* data, int length) {
  const auto descriptor = static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
  BIO_clear_retry_flags(bio);
  ssize_t count = 0;
  do count = ::recv(descriptor, data, static_cast<std::size_t>(length), MSG_DONTWAIT);
  while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_read(bio);
  if (count == 0) errno = 0;
  return static_cast<int>(count);
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* socket_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "a socket");
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

/// The secret as a session that both ends have had before.
SSL_SESSION* session_of(SSL* ssl) {
  const auto* const secret = static_cast<const SessionSecret*>(SSL_get_app_data(ssl));
  SSL_SESSION* const session = SSL_SESSION_new();
  const bool is_made = session != nullptr && secret != nullptr &&
                       SSL_SESSION_set1_master_key(session, reinterpret_cast<const unsigned char*>(secret->data()),
                                                   secret->size()) == 1 &&
                       SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, tls_suite.data())) == 1 &&
                       SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1;
  if (is_made) return session;
  SSL_SESSION_free(session);
  return nullptr;
}

int use_session(SSL* ssl, const EVP_MD*, const unsigned char** id, std::size_t* length, SSL_SESSION** session) {
  *id = psk_identity.data();
  *length = psk_identity.size();
  *session = session_of(ssl);
  return *session != nullptr;
}

int find_session(SSL* ssl, const unsigned char* id, std::size_t length, SSL_SESSION** session) {
  *session = nullptr;
  if (length != psk_identity.size() || !std::equal(psk_identity.begin(), psk_identity.end(), id)) return 1;
  *session = session_of(ssl);
  return *session != nullptr;
}

std::string tls_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* const text = code == 0 ? nullptr : ERR_reason_error_string(code);
  return text == nullptr ? "no reason is known" : text;
}

}  // namespace

struct Tls::Parts {
  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;
  ~Parts() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
};

Tls::Tls(const Socket& socket, Side side, const SessionSecret& secret, Deadline deadline, std::uint64_t records_per_key)
    : parts_(std::make_unique<Parts>()), records_per_key_(records_per_key) {
  ERR_clear_error();
  Parts& parts = *parts_;
  parts.context = SSL_CTX_new(side == Side::client ? TLS_client_method() : TLS_server_method());
  BIO* const bio = BIO_new(socket_method());
  const bool is_made = parts.context != nullptr && bio != nullptr &&
                       SSL_CTX_set_min_proto_version(parts.context, TLS1_3_VERSION) == 1 &&
                       SSL_CTX_set_ciphersuites(parts.context, "TLS_AES_128_GCM_SHA256") == 1 &&
                       SSL_CTX_set_num_tickets(parts.context, 0) == 1;
  if (is_made) {
    SSL_CTX_set_session_cache_mode(parts.context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_psk_use_session_callback(parts.context, use_session);
    SSL_CTX_set_psk_find_session_callback(parts.context, find_session);
    SSL_CTX_set_mode(parts.context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    parts.ssl = SSL_new(parts.context);
  }
  if (parts.ssl == nullptr) {
    BIO_free(bio);
    fail(ErrorCode::system, "TLS cannot be begun: " + tls_reason());
  }
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket.descriptor())));
  BIO_set_init(bio, 1);
  SSL_set_bio(parts.ssl, bio, bio);
  SSL_set_app_data(parts.ssl, const_cast<SessionSecret*>(&secret));  // until the end of this constructor
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const int result = side == Side::client ? SSL_connect(parts.ssl) : SSL_accept(parts.ssl);
    if (result == 1) break;
    const int how = SSL_get_error(parts.ssl, result), error = errno;
    if (how == SSL_ERROR_WANT_READ) {
      if (!wait_readable(socket, deadline)) fail_io_timeout(socket, "beginning TLS with", 0, 0);
    } else if (how == SSL_ERROR_WANT_WRITE) {
      if (!wait_writable(socket, deadline)) fail_io_timeout(socket, "beginning TLS with", 0, 0);
    } else if (how == SSL_ERROR_SYSCALL && error != 0) {
      fail_io(socket, "beginning TLS with", error);
    } else {
      fail(ErrorCode::corrupt, "TLS with " + peer_text(socket) + " cannot be begun: " + tls_reason());
    }
  }
  SSL_set_app_data(parts.ssl, nullptr);
  // Without the pre-shared key there is nobody that has proved anything.
  if (SSL_session_reused(parts.ssl) != 1 || SSL_version(parts.ssl) != TLS1_3_VERSION)
    fail(ErrorCode::corrupt, "TLS with " + peer_text(socket) + " was begun without the job's secret");
}

Tls::~Tls() = default;

Tls::Moved Tls::failed(int result) {
  const int error = errno;
  switch (SSL_get_error(parts_->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return {};
    case SSL_ERROR_ZERO_RETURN: return {.is_over = true};
    case SSL_ERROR_SYSCALL: return {.is_over = true, .error = error};
    default: break;
  }
  // Cut off, which the frames above notice; or not what the other end has sent.
  if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) return {.is_over = true};
  return {.is_over = true, .error = EBADMSG};
}

Tls::Moved Tls::receive(std::span<std::byte> to) {
  Moved all;
  while (all.bytes < to.size()) {
    ERR_clear_error();
    errno = 0;
    std::size_t count = 0;
    const int result = SSL_read_ex(parts_->ssl, to.data() + all.bytes, to.size() - all.bytes, &count);
    if (result != 1) {
      const Moved last = failed(result);
      // What came before an end is told first: the end comes again.
      if (all.bytes == 0) return last;
      break;
    }
    all.bytes += count;
  }
  return all;
}

/// Only where it can be said at once: until it has gone nothing could be read here. So long the old key must do, which is good for several
/// times as many records. False: the connection is over.
bool Tls::take_another_key() {
  pollfd polled{static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(SSL_get_wbio(parts_->ssl)))), POLLOUT, 0};
  if (::poll(&polled, 1, 0) != 1 || (polled.revents & POLLOUT) == 0) return true;
  if (SSL_key_update(parts_->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1) return false;
  static_cast<void>(SSL_do_handshake(parts_->ssl));  // what is left of it goes before the next record
  ERR_clear_error();
  errno = 0;
  records_ = 1;
  ++keys_used_;
  return true;
}

Tls::Moved Tls::send(std::span<const iovec> from) {
  Moved all;
  std::size_t at = 0;  // in the first piece
  for (;;) {
    for (std::size_t i = 0; begun_.size() < record_bytes && i < from.size() && !is_begun_; ++i) {
      const auto* const bytes = static_cast<const std::byte*>(from[i].iov_base);
      const std::size_t skip = i == 0 ? at : 0;
      const std::size_t count = std::min(from[i].iov_len - skip, record_bytes - begun_.size());
      begun_.insert(begun_.end(), bytes + skip, bytes + skip + count);
    }
    if (begun_.empty()) return all;
    ERR_clear_error();
    errno = 0;
    if (!std::exchange(is_begun_, true) && ++records_ > records_per_key_ && !take_another_key())
      return {.is_over = true, .error = EPROTO};
    std::size_t count = 0;
    const int result = SSL_write_ex(parts_->ssl, begun_.data(), begun_.size(), &count);
    if (result != 1) {
      const Moved last = failed(result);
      return all.bytes == 0 ? last : all;
    }
    is_begun_ = false;
    begun_.clear();
    all.bytes += count;
    for (at += count; !from.empty() && at >= from.front().iov_len; from = from.subspan(1)) at -= from.front().iov_len;
  }
}

}  // namespace trireme::net
