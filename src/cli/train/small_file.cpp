// SPDX-License-Identifier: Apache-2.0
#include "cli/train/small_file.hpp"

#include <cstddef>
#include <span>

namespace trireme::cli {

void replace_file(checkpoint::FileSystem& files, const std::string& folder, const std::string& name,
                  std::string_view text) {
  const std::string path = folder + "/" + name, temporary = path + ".writing";
  files.remove(temporary);
  {
    const auto file = files.create(temporary);
    file->write(std::as_bytes(std::span(text)));
    file->sync();
  }
  files.replace(temporary, path);
  files.sync_folder(folder);
}

}  // namespace trireme::cli
