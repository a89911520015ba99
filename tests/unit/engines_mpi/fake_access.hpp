// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines_mpi/fake_module.hpp"

#include <catch2/catch.hpp>

#include <dlfcn.h>

namespace trireme::testing {

/// The fake MPI of this process, as new.
inline FakeMpi& fresh_fake() {
  void* handle = ::dlopen(FAKE_MODULE, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  REQUIRE(handle != nullptr);
  auto& fake = *reinterpret_cast<FakeMpi* (*)()>(::dlsym(handle, "fake_mpi"))();
  fake.behaviour = Behaviour::works;
  fake.version = TRIREME_MPI_TABLE_VERSION;
  fake.serialized = true;
  fake.blocks = false;
  fake.begun = fake.native = fake.freed = fake.finalized = 0;
  return fake;
}

}  // namespace trireme::testing
