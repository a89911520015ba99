// SPDX-License-Identifier: Apache-2.0
#include "ps/session.hpp"

#include "trireme/base/error.hpp"

#include <exception>
#include <utility>
#include <vector>

namespace trireme::ps {

Session::Session(SynchronizerOptions servers) : servers_(std::move(servers)), exceptions_(std::uncaught_exceptions()) {
  if (!servers_.client || !servers_.plan)
    fail(ErrorCode::invalid_argument, "a synchronizer by parameter servers needs a client and its plan of keys");
}

Client& Session::client() const {
  if (!servers_.client) fail(ErrorCode::closed, "a step was left in its midst, and with it this worker's servers");
  return *servers_.client;
}

Session::~Session() {
  if (!servers_.client) return;
  if (std::uncaught_exceptions() > exceptions_) {
    give_up();
    return;
  }
  try {
    servers_.client->leave();
  } catch (const std::exception&) {  // servers that are gone miss nobody
  }
}

void check_session(const Session& session, const parallel::SynchronizerSetup& setup) {
  const auto& tensors = session.plan().tensors();
  if (tensors.size() != setup.parameters.size()) {
    fail(ErrorCode::invalid_argument, "the parameter servers' plan has " + std::to_string(tensors.size()) +
                                          " tensors, and there are " + std::to_string(setup.parameters.size()) +
                                          " parameters");
  }
  for (std::size_t p = 0; p < tensors.size(); ++p) {
    const Parameter& parameter = setup.parameters[p];
    const TensorInfo& tensor = tensors[p];
    const bool same =
        tensor.name == parameter.name && tensor.shape == parameter.shape && tensor.dtype == parameter.value.dtype &&
        tensor.accumulator == accumulator_of(parameter.gradient.dtype) && tensor.row_sparse == setup.row_sparse[p];
    if (same) continue;
    fail(ErrorCode::invalid_argument, "the parameter servers' plan has '" + tensor.name +
                                          "' where the parameters have '" + parameter.name +
                                          "', or it is of another shape, type or sparsity");
  }
}

std::string explain_servers(const Session& session, const std::string& what) {
  const std::uint32_t servers = session.plan().options().servers;
  std::string text = "gradients go to " + std::to_string(servers) +
                     (servers == 1 ? " parameter server" : " parameter servers") + ", where " + what + "\n";
  text += session.plan().explain();
  if (!session.explanation().empty()) text += session.explanation() + "\n";
  text.pop_back();
  return text;
}

void initialise_servers(Session& session, std::span<const Parameter> parameters, const Optimizer* state) {
  if (!std::exchange(session.initialised, true)) initialise(session.client(), parameters, state);
}

void initialise(Client& client, std::span<const Parameter> parameters, const Optimizer* state) {
  std::vector<Client::InitialTensor> tensors;
  for (const Parameter& parameter : parameters) {
    Client::InitialTensor tensor{.values = parameter.value};
    if (state != nullptr && state->states().contains(parameter.name)) {
      const Optimizer::SavedState saved = state->saved(parameter.name);
      tensor.steps = saved.steps;
      tensor.state = saved.tensors;
    }
    tensors.push_back(std::move(tensor));
  }
  client.initialise(tensors);
}

void fetch_state(Client& client, const KeyPlan& plan, Optimizer& optimizer) {
  for (std::size_t t = 0; t < plan.tensors().size(); ++t) {
    const TensorInfo& tensor = plan.tensors()[t];
    const Client::ServerState state = client.read_state(t);
    if (state.steps == 0) continue;
    const DType dtype = tensor.dtype == DType::f64 ? DType::f64 : DType::f32;  // as optimizers keep it
    Optimizer::SavedState saved{.steps = state.steps,
                                .dtype = tensor.dtype,
                                .count = tensor.count(),
                                .shape = TensorShape::of(tensor.shape),
                                .tensors = {}};
    for (const auto& [name, bytes] : state.state)
      saved.tensors.emplace_back(name, ConstTensorView(bytes.data(), bytes.size() / size_of(dtype), dtype));
    optimizer.restore(tensor.name, saved);
  }
}

void fetch_values(Client& client, std::span<const Parameter> parameters) {
  for (std::size_t p = 0; p < parameters.size(); ++p) client.pull(p, 0, parameters[p].value);
  for (std::size_t p = 0; p < parameters.size(); ++p) client.wait_values(p);
}

}  // namespace trireme::ps
