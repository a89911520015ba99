// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything a training program needs. The library itself never includes this file.
#if __cplusplus < 202002L
#error "Trireme needs C++20: add -std=c++20 (in CMake, target_compile_features(my_program PRIVATE cxx_std_20))"
#else
#include "trireme/base/bytes.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/op.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/base/work.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/optim/adadelta.hpp"
#include "trireme/optim/adafactor.hpp"
#include "trireme/optim/adagrad.hpp"
#include "trireme/optim/adam.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/lamb.hpp"
#include "trireme/optim/lars.hpp"
#include "trireme/optim/lion.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/optim/muon.hpp"
#include "trireme/optim/nadam.hpp"
#include "trireme/optim/rmsprop.hpp"
#include "trireme/optim/schedule.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/optim/weight_average.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/telemetry/chrome_trace.hpp"
#include "trireme/telemetry/scoped_span.hpp"
#include "trireme/telemetry/span_recorder.hpp"
#include "trireme/world/run_ranks.hpp"
#include "trireme/world/world.hpp"
#endif
