// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/flag.hpp"

#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace trireme::cli {

/// The numbers a flag takes, both ends among them.
template <class Number>
struct Range {
  Number least = std::numeric_limits<Number>::lowest();
  Number most = std::numeric_limits<Number>::max();
};

/// Of real numbers, finite ones unless neither end is named; `most` may be the first that is not among them.
template <>
struct Range<double> {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool excludes_most = false;
};

/// The flags of one command, described and then filled from what was typed. The library behind it is included by one
/// file only: its headers take longer to compile than all of a command.
/// A flag typed again replaces what it said before, so that a script's flags can be overridden behind them. In the names of flags
/// _ is as good as -, and a flag without a value may have one, true or false, behind "=" or as the next word; neither holds for
/// a command whose words end in those of another program.
class Arguments {
 public:
  Arguments(const std::string& summary, const std::string& command);
  ~Arguments();
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  /// The last lines of --help.
  void footer(const std::string& text);
  /// The first word that is no flag of this command ends them: it and all behind it are in remaining().
  void end_at_program();

  /// `value` keeps its default unless the flag is given; it outlives parse(). What is returned says more of the flag: see Flag.
  Flag& option(const std::string& names, std::string& value, const std::string& help);
  Flag& option(const std::string& names, int& value, const std::string& help, Range<int> range = {});
  Flag& option(const std::string& names, std::int64_t& value, const std::string& help, Range<std::int64_t> range = {});
  Flag& option(const std::string& names, std::uint64_t& value, const std::string& help,
               Range<std::uint64_t> range = {});
  Flag& option(const std::string& names, double& value, const std::string& help, Range<double> range = {});
  Flag& flag(const std::string& names, bool& value, const std::string& help);
  void require(const std::string& name);

  /// Takes the arguments in the order typed. False when --help was asked for: it is then printed to stdout and nothing
  /// is left to do.
  /// Errors: invalid_argument, in one line, for whatever does not fit: unknown flags, missing or bad values; a number is the
  ///         whole text, in its range, and is refused by the flag's name otherwise.
  bool parse(const std::vector<std::string>& arguments);
  /// Whether it was typed; of a flag without a value, whether it is on.
  bool given(const std::string& name) const;
  /// In the order described.
  const std::deque<Flag>& flags() const { return flags_; }
  std::vector<std::string> remaining() const;

 private:
  struct Parser;
  Flag& add(const std::string& names, FlagType type, const std::string& help);
  std::vector<std::string> settled(const std::vector<std::string>& arguments) const;
  void check_choices() const;
  std::string unknown(const std::string& word) const;

  std::unique_ptr<Parser> parser_;
  std::deque<Flag> flags_;  // grows without moving
};

}  // namespace trireme::cli
