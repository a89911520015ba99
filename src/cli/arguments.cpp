// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.hpp"

#include "trireme/base/error.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <iostream>
#include <type_traits>

namespace trireme::cli {
namespace {

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, one_line(message)); }

template <class Number>
[[noreturn]] void refuse_outside(const std::string& name, const std::string& got, bool below,
                                 const Range<Number>& range) {
  using Limits = std::numeric_limits<Number>;
  if constexpr (std::is_floating_point_v<Number>) refuse(name + ": '" + got + "' is out of range");
  const std::string least = std::to_string(range.least), most = std::to_string(range.most);
  if (below && range.most == Limits::max()) refuse(name + " must be at least " + least + ", got " + got);
  if (!below && range.least == Limits::lowest()) refuse(name + " must be at most " + most + ", got " + got);
  refuse(name + " must be from " + least + " to " + most + ", got " + got);
}

/// Only the whole text is a number: what reads a beginning of it, or wraps, takes "-1" for 2^64 - 1.
template <class Number>
Number parse_number(const std::string& name, const std::string& text, const Range<Number>& range) {
  Number value{};
  const char* const end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value);
  if (std::is_unsigned_v<Number> && text.size() > 1 && text.front() == '-') {
    std::int64_t negative = 0;  // a number, though none of this type
    rest = std::from_chars(text.data(), end, negative).ptr;
    error = std::errc::result_out_of_range;
  }
  const bool whole = rest == end && error != std::errc::invalid_argument;
  if (!whole) refuse(name + ": '" + text + "' is not " + (std::is_integral_v<Number> ? "an integer" : "a number"));
  bool inside = error == std::errc();
  if constexpr (std::is_integral_v<Number>) inside = inside && value >= range.least && value <= range.most;
  const bool below = error == std::errc() ? value < range.least : text.front() == '-';
  if (!inside) refuse_outside(name, text, below, range);
  return value;
}

}  // namespace

struct Arguments::Parser {
  Parser(const std::string& summary, const std::string& command) : app(summary, command) {
    app.option_defaults()->take_last();
  }

  template <class Number>
  void number(const std::string& names, Number& value, const std::string& help, const Range<Number>& range) {
    const std::string name = names.substr(0, names.find(','));
    const CLI::callback_t take = [name, range, &value](const CLI::results_t& texts) {
      value = parse_number(name, texts.empty() ? std::string() : texts.back(), range);
      return true;
    };
    app.add_option(names, take, help)->type_name(std::is_integral_v<Number> ? "INT" : "FLOAT");
  }

  CLI::App app;
};

Arguments::Arguments(const std::string& summary, const std::string& command)
    : parser_(std::make_unique<Parser>(summary, command)) {}
Arguments::~Arguments() = default;

void Arguments::footer(const std::string& text) { parser_->app.footer(text); }
void Arguments::end_at_program() { parser_->app.prefix_command(); }

void Arguments::option(const std::string& names, std::string& value, const std::string& help) {
  parser_->app.add_option(names, value, help);
}
void Arguments::option(const std::string& names, int& value, const std::string& help, Range<int> range) {
  parser_->number(names, value, help, range);
}
void Arguments::option(const std::string& names, std::int64_t& value, const std::string& help,
                       Range<std::int64_t> range) {
  parser_->number(names, value, help, range);
}
void Arguments::option(const std::string& names, std::uint64_t& value, const std::string& help,
                       Range<std::uint64_t> range) {
  parser_->number(names, value, help, range);
}
void Arguments::option(const std::string& names, double& value, const std::string& help) {
  parser_->number(names, value, help, {});
}
void Arguments::flag(const std::string& names, bool& value, const std::string& help) {
  parser_->app.add_flag(names, value, help);
}
void Arguments::require(const std::string& name) { parser_->app.get_option(name)->required(); }

bool Arguments::given(const std::string& name) const { return parser_->app.count(name) > 0; }
std::vector<std::string> Arguments::remaining() const { return parser_->app.remaining(); }

bool Arguments::parse(const std::vector<std::string>& arguments) {
  CLI::App& app = parser_->app;
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them last first
    return true;
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;
    return false;
  } catch (const CLI::ExtrasError&) {
    auto extras = app.remaining();
    std::string first = extras.empty() ? std::string() : extras.front();
    const char* kind = first.rfind('-', 0) == 0 ? "unknown flag '" : "unexpected argument '";
    refuse(kind + first + "'");
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string text = error.what();  // "--hidden: 1 required TEXT missing"
    refuse(text.substr(0, text.find(':')) + " needs a value");
  } catch (const CLI::ConversionError& error) {
    std::string text = error.what();  // "Could not convert: --json = x"
    constexpr std::string_view opening = "Could not convert: ";
    if (text.rfind(opening, 0) == 0) text = "bad value: " + text.substr(opening.size());
    refuse(text);
  } catch (const CLI::ParseError& error) {
    refuse(error.what());
  }
}

}  // namespace trireme::cli
