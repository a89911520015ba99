// SPDX-License-Identifier: Apache-2.0
#include "support/fake_cuda/ptx/kernel.hpp"

#include <cctype>
#include <charconv>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <utility>

namespace trireme::testing::ptx {
namespace {

constexpr std::string_view entry = ".entry ";

bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '%' || c == '.';
}

std::size_t end_of_name(std::string_view text, std::size_t at) {
  while (at < text.size() && is_name(text[at])) ++at;
  return at;
}

/// Reads one kernel. Statements end with a semicolon, a label or a brace.
class Parser {
 public:
  Parser(std::string_view text, std::string_view name) : text_(text) {
    kernel_.name = name;
    std::size_t at = 0;
    for (;;) {
      at = text.find(entry, at);
      if (at == std::string_view::npos) throw std::runtime_error("no kernel " + kernel_.name);
      at += entry.size();
      if (text.substr(at, end_of_name(text, at) - at) == name) break;
    }
    for (std::size_t i = 0; i < at; ++i) line_ += text[i] == '\n' ? 1 : 0;
    at_ = at + name.size();
  }

  Kernel parse() {
    parameters();
    limits();
    scopes_.emplace_back();
    while (!scopes_.empty()) statement();
    for (const auto& [instruction, label] : jumps_) {
      const auto found = labels_.find(label);
      if (found == labels_.end()) refuse("there is no label " + label);
      kernel_.code[instruction].target = found->second;
    }
    // Whoever runs past the last instruction ends.
    Instruction last;
    last.flow = Instruction::Flow::end;
    kernel_.code.push_back(last);
    return std::move(kernel_);
  }

 private:
  using Symbols = std::map<std::string, Operand, std::less<>>;

  [[noreturn]] void refuse(const std::string& what) const {
    throw std::runtime_error("kernel " + kernel_.name + ", line " + std::to_string(line_) + " of its PTX: " + what);
  }

  // ---- letters and words

  void skip() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') ++line_;
      if (text_.substr(at_, 2) == "//") {
        at_ = text_.find('\n', at_);
        if (at_ == std::string_view::npos) refuse("it ends in the middle");
        --at_;
        continue;
      }
      if (std::isspace(static_cast<unsigned char>(c)) == 0) return;
    }
    refuse("it ends in the middle");
  }
  char peek() {
    skip();
    return text_[at_];
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void demand(char c) {
    if (!take(c)) refuse(std::string("expected '") + c + "' before '" + std::string(text_.substr(at_, 20)) + "'");
  }
  std::string_view word() {
    skip();
    const std::size_t end = end_of_name(text_, at_);
    if (end == at_) refuse("expected a name before '" + std::string(text_.substr(at_, 20)) + "'");
    return text_.substr(std::exchange(at_, end), end - at_);
  }
  std::size_t number() {
    const std::string_view text = word();
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) refuse("'" + std::string(text) + "' is no number");
    return value;
  }

  // ---- declarations

  /// ".align 8 .b8 name[64]", behind its space.
  std::pair<std::string, std::size_t> array(std::size_t& used) {
    std::size_t align = 1;
    std::string_view token = word();
    if (token == ".align") {
      align = number();
      token = word();
    }
    std::size_t element = 0;
    if (token == ".b8" || token == ".u8") element = 1;
    if (token == ".u32" || token == ".b32" || token == ".f32") element = 4;
    if (token == ".u64" || token == ".b64" || token == ".f64") element = 8;
    if (element == 0) refuse("an array of " + std::string(token));
    align = std::max(align, element);
    const std::string name(word());
    std::size_t count = 1;
    if (take('[')) {
      count = number();
      demand(']');
    }
    const std::size_t begin = (used + align - 1) / align * align;
    used = begin + count * element;
    return {name, begin};
  }
  void parameters() {
    demand('(');
    while (!take(')')) {
      if (word() != ".param") refuse("expected .param");
      auto [name, begin] = array(kernel_.param_bytes);
      globals_[name] = {Operand::Kind::param, 0, begin};
      take(',');
    }
  }
  void limits() {
    while (!take('{')) {
      const std::string_view name = word();
      const std::size_t first = number();
      std::size_t all = first;
      while (take(',')) all *= number();
      if (name == ".maxntid") kernel_.most_threads = static_cast<unsigned>(all);
      if (name != ".maxntid" && name != ".minnctapersm" && name != ".maxnreg")
        refuse(std::string(name) + " of a kernel");
    }
  }
  void directive(std::string_view name) {
    if (name == ".reg") {
      word();  // the type, which each instruction says again
      do {
        const std::string stem(word());
        if (take('<')) {
          const std::size_t count = number();
          demand('>');
          for (std::size_t i = 0; i < count; ++i) declare(stem + std::to_string(i));
        } else {
          declare(stem);
        }
      } while (take(','));
    } else if (name == ".shared") {
      auto [symbol, begin] = array(kernel_.shared_bytes);
      globals_[symbol] = {Operand::Kind::shared, 0, begin};
    } else if (name == ".local") {
      auto [symbol, begin] = array(kernel_.local_bytes);
      globals_[symbol] = {Operand::Kind::local, 0, begin};
    } else if (name == ".loc" || name == ".file") {  // these end with the line
      while (text_[at_] != '\n') ++at_;
      return;
    } else if (name == ".pragma") {
      while (peek() != ';') ++at_;
    } else {
      refuse(std::string(name) + " is not known");
    }
    demand(';');
  }
  void declare(const std::string& name) {
    scopes_.back()[name] = {Operand::Kind::reg, static_cast<std::uint32_t>(kernel_.registers++), 0};
  }

  // ---- statements

  void statement() {
    if (take('{')) return scopes_.emplace_back(), void();
    if (take('}')) return scopes_.pop_back();
    if (take(';')) return;
    Instruction next;
    if (take('@')) {
      next.unless = take('!');
      next.guard = static_cast<std::int32_t>(operand_of(word()).index);
    }
    const std::string_view name = word();
    next.line = static_cast<std::uint32_t>(line_);
    if (next.guard < 0 && take(':')) {
      if (!labels_.emplace(std::string(name), static_cast<std::uint32_t>(kernel_.code.size())).second)
        refuse("label " + std::string(name) + " stands there twice");
      return;
    }
    if (name.front() == '.') return directive(name);
    instruction(next, name);
    demand(';');
    kernel_.code.push_back(next);
  }

  void instruction(Instruction& next, std::string_view name) {
    std::string opcode;
    bool first = true;
    for (std::string_view rest = name; !rest.empty();) {
      const std::size_t dot = rest.find('.');
      const std::string_view part = rest.substr(0, dot);
      rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
      if (part == "global")
        next.space = Space::global;
      else if (part == "shared")
        next.space = Space::shared;
      else if (part == "local")
        next.space = Space::local;
      else if (part == "param")
        next.space = Space::param;
      else if (part == "v2")
        next.width = 2;
      else if (part == "v4")
        next.width = 4;
      else if (part == "uni")
        continue;
      else
        opcode += (std::exchange(first, false) ? "" : ".") + std::string(part);
    }
    if (opcode == "bra") {
      next.flow = Instruction::Flow::branch;
      jumps_.emplace_back(kernel_.code.size(), std::string(word()));
      return;
    }
    if (opcode == "ret" || opcode == "exit") {
      next.flow = Instruction::Flow::end;
      return;
    }
    if (opcode == "bar.sync" || opcode == "barrier.sync.aligned") {
      if (word() != "0") refuse("a barrier other than 0");
      next.flow = Instruction::Flow::barrier;
      return;
    }
    const bool moves = opcode.starts_with("mov.b");
    std::size_t count = 0, group = 0;
    bool packs = false;
    do {
      if (take('{')) {
        packs = moves && count != 0;
        do {
          add(next, count, operand());
          ++group;
        } while (take(','));
        demand('}');
      } else if (take('[')) {
        Operand address = operand();
        if (take('+')) address.value += constant(word_or_number());
        demand(']');
        add(next, count, address);
      } else {
        add(next, count, operand());
      }
    } while (take(','));
    if (moves && group != 0) {
      next.width = static_cast<std::uint8_t>(group);
      opcode = (packs ? "pack." : "unpack.") + opcode.substr(4);
    } else if (group != (next.width == 1 ? 0 : next.width)) {
      refuse("'" + std::string(name) + "' of " + std::to_string(group) + " elements");
    }
    if (opcode.starts_with("ld.acquire")) kernel_.waits = true;
    next.run = handler_of(opcode);
    if (next.run == nullptr) refuse("'" + std::string(name) + "' is not known to this machine");
  }
  void add(Instruction& next, std::size_t& count, Operand operand) {
    if (count == next.operands.size()) refuse("more operands than any instruction known has");
    next.operands[count++] = operand;
  }

  // ---- operands

  std::string_view word_or_number() {
    skip();
    const std::size_t begin = at_;
    if (text_[at_] == '-') ++at_;
    word();
    return text_.substr(begin, at_ - begin);
  }
  Operand operand() { return operand_of(word_or_number()); }
  Operand operand_of(std::string_view name) {
    const char c = name.front();
    if (c == '-' || std::isdigit(static_cast<unsigned char>(c)) != 0) return {Operand::Kind::value, 0, constant(name)};
    for (std::size_t i = scopes_.size(); i-- > 0;) {
      if (const auto found = scopes_[i].find(name); found != scopes_[i].end()) return found->second;
    }
    if (const auto found = globals_.find(name); found != globals_.end()) return found->second;
    static const std::map<std::string_view, Special> specials{{"%tid.x", Special::tid},
                                                              {"%ntid.x", Special::ntid},
                                                              {"%ctaid.x", Special::ctaid},
                                                              {"%nctaid.x", Special::nctaid},
                                                              {"%globaltimer", Special::globaltimer}};
    const auto found = specials.find(name);
    if (found == specials.end()) refuse("'" + std::string(name) + "' is not known");
    return {Operand::Kind::special, static_cast<std::uint32_t>(found->second), 0};
  }
  /// Decimal, 0x…, 0f… (the bits of an f32) or 0d… (of an f64).
  std::uint64_t constant(std::string_view text) const {
    const bool negative = text.front() == '-';
    std::string_view digits = text.substr(negative ? 1 : 0);
    int base = 10;
    if (digits.size() > 2 && digits[0] == '0' && std::isalpha(static_cast<unsigned char>(digits[1])) != 0) {
      const char kind = static_cast<char>(std::tolower(static_cast<unsigned char>(digits[1])));
      if (kind != 'x' && kind != 'f' && kind != 'd') refuse("'" + std::string(text) + "' is no constant");
      base = 16;
      digits.remove_prefix(2);
    }
    if (!digits.empty() && digits.back() == 'U') digits.remove_suffix(1);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc{} || end != digits.data() + digits.size())
      refuse("'" + std::string(text) + "' is no constant");
    return negative ? std::uint64_t{0} - value : value;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  Kernel kernel_;
  Symbols globals_;
  std::vector<Symbols> scopes_;
  std::map<std::string, std::uint32_t, std::less<>> labels_;
  std::vector<std::pair<std::size_t, std::string>> jumps_;
};

}  // namespace

std::vector<std::string> kernel_names(std::string_view text) {
  std::vector<std::string> names;
  for (std::size_t at = text.find(entry); at != std::string_view::npos; at = text.find(entry, at)) {
    at += entry.size();
    names.emplace_back(text.substr(at, end_of_name(text, at) - at));
  }
  return names;
}

Kernel parse(std::string_view text, std::string_view name) { return Parser(text, name).parse(); }

}  // namespace trireme::testing::ptx
