// SPDX-License-Identifier: Apache-2.0
#include "ps/view.hpp"

#include "trireme/base/error.hpp"

#include <charconv>

// One line: keys=0 view=3 primary=1:42 replica=2:43 by=0:41
namespace trireme::ps {
namespace {

/// Takes `name=` and a number from the front; "name=a:b" leaves ":b".
template <class Number>
bool take(std::string_view& text, std::string_view name, Number& value) {
  if (!text.starts_with(name)) return false;
  text.remove_prefix(name.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

std::string text_of(const Holder& holder) {
  return std::to_string(holder.server) + ":" + std::to_string(holder.incarnation);
}

bool take(std::string_view& text, std::string_view name, Holder& holder) {
  return take(text, name, holder.server) && take(text, ":", holder.incarnation);
}

}  // namespace

std::string View::to_text() const {
  std::string text =
      "keys=" + std::to_string(server) + " view=" + std::to_string(number) + " primary=" + text_of(primary);
  if (replica) text += " replica=" + text_of(*replica);
  if (by) text += " by=" + text_of(*by);
  return text;
}

View View::parse(std::string_view text) {
  View view;
  std::string_view rest = text;
  bool is_view = take(rest, "keys=", view.server) && take(rest, " view=", view.number) &&
                 take(rest, " primary=", view.primary) && view.number != 0;
  if (is_view && rest.starts_with(" replica=")) is_view = take(rest, " replica=", view.replica.emplace());
  if (is_view && !rest.empty()) is_view = take(rest, " by=", view.by.emplace());
  if (!is_view || !rest.empty() || (view.replica && view.replica->server == view.primary.server))
    fail(ErrorCode::corrupt, "what was decided about a parameter server's keys is no view of them");
  return view;
}

std::string name_of_view(std::uint32_t server, std::uint32_t loop, std::uint64_t number) {
  return "ps-view/" + std::to_string(server) + "/" + std::to_string(loop) + "/" + std::to_string(number);
}

}  // namespace trireme::ps
