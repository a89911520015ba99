// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.hpp"

#include "trireme/base/error.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>

namespace trireme::cli {
namespace {

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

struct Arguments::Parser {
  Parser(const std::string& summary, const std::string& command) : app(summary, command) {}
  CLI::App app;
};

Arguments::Arguments(const std::string& summary, const std::string& command)
    : parser_(std::make_unique<Parser>(summary, command)) {}
Arguments::~Arguments() = default;

void Arguments::footer(const std::string& text) { parser_->app.footer(text); }
void Arguments::take_last() { parser_->app.option_defaults()->take_last(); }
void Arguments::end_at_program() { parser_->app.prefix_command(); }

void Arguments::option(const std::string& names, std::string& value, const std::string& help) {
  parser_->app.add_option(names, value, help);
}
void Arguments::option(const std::string& names, int& value, const std::string& help) {
  parser_->app.add_option(names, value, help);
}
void Arguments::option(const std::string& names, std::int64_t& value, const std::string& help) {
  parser_->app.add_option(names, value, help);
}
void Arguments::option(const std::string& names, std::uint64_t& value, const std::string& help) {
  parser_->app.add_option(names, value, help);
}
void Arguments::option(const std::string& names, double& value, const std::string& help) {
  parser_->app.add_option(names, value, help);
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
    fail(ErrorCode::invalid_argument, one_line(kind + first + "'"));
  } catch (const CLI::ConversionError& error) {
    std::string text = error.what();  // "Could not convert: -n = x"
    constexpr std::string_view opening = "Could not convert: ";
    if (text.rfind(opening, 0) == 0) text = "bad value: " + text.substr(opening.size());
    fail(ErrorCode::invalid_argument, one_line(text));
  } catch (const CLI::ParseError& error) {
    fail(ErrorCode::invalid_argument, one_line(error.what()));
  }
}

}  // namespace trireme::cli
