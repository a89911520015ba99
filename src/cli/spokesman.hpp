// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/exit_code.hpp"
#include "trireme/base/error.hpp"
#include "trireme/platform/environment.hpp"

#include <type_traits>

namespace trireme::cli {

/// Says what all ranks of a host would say alike, once: a wrong flag, a missing file.
///
/// The first rank of each host speaks; without a launcher everybody does. Wherever ranks may fail differently this is
/// not for them: then each says its own.
class Spokesman {
 public:
  /// Thrown in place of an error somebody else reports. Not an Exception: only whoever made the Spokesman catches it.
  struct Silence {
    int exit_code = 2;
  };

  explicit Spokesman(const platform::Environment& environment);

  bool speaks() const { return speaks_; }

  /// What `part` returns; its errors too, if they are the user's to mend and this rank speaks, else Silence.
  template <class Part>
  std::invoke_result_t<Part> ask(Part&& part) const {
    try {
      return part();
    } catch (const Exception& exception) {
      if (!speaks_ && is_users(exception.error().code)) throw Silence{};
      throw;
    }
  }

 private:
  bool speaks_;
};

}  // namespace trireme::cli
