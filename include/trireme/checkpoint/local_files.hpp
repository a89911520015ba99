// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/file_system.hpp"

#include <memory>

namespace trireme::checkpoint {

/// What the operating system has mounted.
std::unique_ptr<FileSystem> local_files();

}  // namespace trireme::checkpoint
