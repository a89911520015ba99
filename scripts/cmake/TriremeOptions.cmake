# Options of the build. AUTO takes what is there and says so; ON fails loudly where it is not.
foreach(engine MPI CUDA NCCL TORCH)
  set(TRIREME_WITH_${engine} AUTO CACHE STRING "Build with ${engine}: AUTO, ON or OFF")
  set_property(CACHE TRIREME_WITH_${engine} PROPERTY STRINGS AUTO ON OFF)
  if(NOT TRIREME_WITH_${engine} MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "TRIREME_WITH_${engine} is '${TRIREME_WITH_${engine}}': give AUTO, ON or OFF")
  endif()
  # Engines arrive with their own rooms; until then an explicit ON cannot be honoured.
  if(TRIREME_WITH_${engine} STREQUAL "ON" AND NOT engine MATCHES "^(MPI|CUDA|NCCL)$")
    message(FATAL_ERROR "TRIREME_WITH_${engine}=ON: this version has no ${engine} engine yet; use AUTO or OFF")
  endif()
endforeach()

option(TRIREME_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(TRIREME_BUILD_BENCH "Build the benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(TRIREME_BUILD_EXAMPLES "Build the examples in the tree" ${PROJECT_IS_TOP_LEVEL})
option(TRIREME_WERROR "Treat warnings as errors" OFF)
set(TRIREME_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=: address,undefined or thread")
