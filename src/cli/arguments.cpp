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

bool parse_arguments(CLI::App& app, const std::vector<std::string>& arguments) {
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
