// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.hpp"

#include "base/near_name.hpp"
#include "trireme/base/error.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <type_traits>

namespace trireme::cli {
namespace {

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, one_line(message)); }

template <class Number>
std::string text_of(Number value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

template <class Number>
[[noreturn]] void refuse_outside(const std::string& name, const std::string& got, bool below,
                                 const Range<Number>& range) {
  using Limits = std::numeric_limits<Number>;
  const std::string least = std::to_string(range.least), most = std::to_string(range.most);
  if (below && range.most == Limits::max()) refuse(name + " must be at least " + least + ", got " + got);
  if (!below && range.least == Limits::lowest()) refuse(name + " must be at most " + most + ", got " + got);
  refuse(name + " must be from " + least + " to " + most + ", got " + got);
}

[[noreturn]] void refuse_outside(const std::string& name, const std::string& got, const Range<double>& range) {
  const std::string most = (range.excludes_most ? "below " : "at most ") + text_of(range.most);
  const bool is_open_above = std::isinf(range.most), is_open_below = std::isinf(range.least);
  if (is_open_below && is_open_above) refuse(name + ": '" + got + "' is out of range");
  if (is_open_above) refuse(name + " must be finite and at least " + text_of(range.least) + ", got " + got);
  if (is_open_below) refuse(name + " must be finite and " + most + ", got " + got);
  refuse(name + " must be at least " + text_of(range.least) + " and " + most + ", got " + got);
}

bool is_inside(double value, const Range<double>& range) {
  if (std::isinf(range.least) && std::isinf(range.most)) return true;
  return std::isfinite(value) && value >= range.least &&
         (range.excludes_most ? value < range.most : value <= range.most);
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
  if constexpr (std::is_floating_point_v<Number>) {
    if (error != std::errc()) refuse(name + ": '" + text + "' is out of range");
    if (!is_inside(value, range)) refuse_outside(name, text, range);
  } else {
    const bool inside = error == std::errc() && value >= range.least && value <= range.most;
    const bool below = error == std::errc() ? value < range.least : text.front() == '-';
    if (!inside) refuse_outside(name, text, below, range);
  }
  return value;
}

/// What stands behind a flag that is on or off.
std::optional<bool> truth_of(std::string text) {
  for (char& each : text) each = static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
  for (const char* yes : {"true", "1", "yes", "on"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"false", "0", "no", "off"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

/// Only these two are taken from the word behind a flag: others may be an argument of their own.
bool is_truth_word(const std::string& word) {
  return word == "true" || word == "false" || word == "True" || word == "False";
}

/// What --help calls a flag's value.
const char* word_for(FlagType type) {
  return type == FlagType::integer ? "INT" : type == FlagType::real ? "FLOAT" : "TEXT";
}

template <class Number>
void describe_range(Flag& flag, const Range<Number>& range) {
  using Limits = std::numeric_limits<Number>;
  if (range.least != Limits::lowest() || std::is_unsigned_v<Number>) flag.least = text_of(range.least);
  if (range.most != Limits::max()) flag.most = text_of(range.most);
}

void describe_range(Flag& flag, const Range<double>& range) {
  if (!std::isinf(range.least)) flag.least = text_of(range.least);
  if (!std::isinf(range.most)) flag.most = text_of(range.most);
  flag.excludes_most = range.excludes_most;
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
    app.add_option(names, take, help)
        ->type_name(word_for(std::is_integral_v<Number> ? FlagType::integer : FlagType::real));
  }

  CLI::App app;
  bool has_program = false;
  std::map<std::string, const bool*> switches;      // by name
  std::map<std::string, const std::string*> words;  // by names
};

Arguments::Arguments(const std::string& summary, const std::string& command)
    : parser_(std::make_unique<Parser>(summary, command)) {}
Arguments::~Arguments() = default;

void Arguments::footer(const std::string& text) { parser_->app.footer(text); }
void Arguments::end_at_program() {
  parser_->app.prefix_command();
  parser_->has_program = true;
}

Flag& Arguments::add(const std::string& names, FlagType type, const std::string& help) {
  flags_.push_back({.names = names, .type = type, .help = help});
  return flags_.back();
}

Flag& Arguments::option(const std::string& names, std::string& value, const std::string& help) {
  parser_->app.add_option(names, value, help)->type_name(word_for(FlagType::text));
  parser_->words[names] = &value;
  Flag& flag = add(names, FlagType::text, help);
  if (!value.empty()) flag.standard = value;
  return flag;
}
Flag& Arguments::option(const std::string& names, int& value, const std::string& help, Range<int> range) {
  parser_->number(names, value, help, range);
  Flag& flag = add(names, FlagType::integer, help).standard_is(text_of(value));
  describe_range(flag, range);
  return flag;
}
Flag& Arguments::option(const std::string& names, std::int64_t& value, const std::string& help,
                        Range<std::int64_t> range) {
  parser_->number(names, value, help, range);
  Flag& flag = add(names, FlagType::integer, help).standard_is(text_of(value));
  describe_range(flag, range);
  return flag;
}
Flag& Arguments::option(const std::string& names, std::uint64_t& value, const std::string& help,
                        Range<std::uint64_t> range) {
  parser_->number(names, value, help, range);
  Flag& flag = add(names, FlagType::integer, help).standard_is(text_of(value));
  describe_range(flag, range);
  return flag;
}
Flag& Arguments::option(const std::string& names, double& value, const std::string& help, Range<double> range) {
  parser_->number(names, value, help, range);
  Flag& flag = add(names, FlagType::real, help).standard_is(text_of(value));
  describe_range(flag, range);
  return flag;
}
Flag& Arguments::flag(const std::string& names, bool& value, const std::string& help) {
  parser_->app.add_flag(names, value, help);
  parser_->switches[names] = &value;
  return add(names, FlagType::boolean, help).standard_is("false");
}
void Arguments::require(const std::string& name) { parser_->app.get_option(name)->required(); }

bool Arguments::given(const std::string& name) const {
  const auto found = parser_->switches.find(name);
  return parser_->app.count(name) > 0 && (found == parser_->switches.end() || *found->second);
}
std::vector<std::string> Arguments::remaining() const { return parser_->app.remaining(); }

/// The words as they are described: names with dashes, and "=true" or "=false" behind those that are on or off.
std::vector<std::string> Arguments::settled(const std::vector<std::string>& arguments) const {
  if (parser_->has_program) return arguments;
  const CLI::App& app = parser_->app;
  std::vector<std::string> words;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--") {
      words.insert(words.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
      break;
    }
    const std::size_t equals = word.find('=');
    std::string name = word.substr(0, equals);
    if (name.rfind("--", 0) != 0) {
      words.push_back(word);
      continue;
    }
    if (app.get_option_no_throw(name) == nullptr) {
      std::string other = name;
      std::replace(other.begin() + 2, other.end(), '_', '-');
      if (app.get_option_no_throw(other) != nullptr) name = other;
    }
    std::string value = equals == std::string::npos ? std::string() : word.substr(equals);
    if (parser_->switches.count(name) != 0) {
      if (equals == std::string::npos && i + 1 < arguments.size() && is_truth_word(arguments[i + 1]))
        value = "=" + arguments[++i];
      if (!value.empty()) {
        const auto truth = truth_of(value.substr(1));
        if (!truth) refuse(name + ": '" + value.substr(1) + "' is neither true nor false");
        value = *truth ? "=true" : "=false";
      }
    }
    words.push_back(name + value);
  }
  return words;
}

void Arguments::check_choices() const {
  for (const Flag& flag : flags_) {
    const auto found = parser_->words.find(flag.names);
    if (flag.choices.empty() || found == parser_->words.end()) continue;
    const std::string name = flag.names.substr(0, flag.names.find(','));
    const std::string& value = *found->second;
    if (!given(name) || std::find(flag.choices.begin(), flag.choices.end(), value) != flag.choices.end()) continue;
    std::string list;
    for (const std::string& each : flag.choices) list += (list.empty() ? "" : ", ") + each;
    refuse(name + " is '" + value + "'; this version has: " + list);
  }
}

std::string Arguments::unknown(const std::string& word) const {
  if (word.rfind('-', 0) != 0) return "unexpected argument '" + word + "'";
  std::vector<std::string> names;
  for (const Flag& flag : flags_) names.push_back(flag.plain_name());
  const std::size_t first = word.find_first_not_of('-');
  const auto near =
      first == std::string::npos ? std::nullopt : near_name(word.substr(first, word.find('=') - first), names);
  return "unknown flag '" + word.substr(0, word.find('=')) + "'" +
         (near && word.rfind("--", 0) == 0 ? "; did you mean --" + *near + "?" : "");
}

bool Arguments::parse(const std::vector<std::string>& arguments) {
  CLI::App& app = parser_->app;
  try {
    const auto words = settled(arguments);
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // CLI11 takes them last first
    check_choices();
    return true;
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;
    return false;
  } catch (const CLI::ExtrasError&) {
    auto extras = app.remaining();
    refuse(unknown(extras.empty() ? std::string() : extras.front()));
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
