// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/report.hpp"

#include "cli/doctor/device_engines.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>
#include <utility>

namespace trireme::cli {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json availabilities(const std::vector<Availability>& list) {
  Json object = Json::object();
  for (const Availability& item : list) {
    object[item.name] = {{"available", item.available}};
    if (!item.available) object[item.name]["reason"] = item.reason;
  }
  return object;
}

std::string compute_capability(const device::Properties& properties) {
  return std::to_string(properties.major) + "." + std::to_string(properties.minor);
}

/// The keys that only CUDA knows are null for a GPU that this process does not see.
Json say_gpu(const Gpu& gpu) {
  Json json{{"index", nullptr}, {"name", gpu.model}, {"bus", gpu.bus}, {"model", gpu.model}};
  for (const char* key : {"uuid", "memory_bytes", "compute_capability", "multiprocessors", "peers"})
    json[key] = nullptr;
  if (!gpu.cuda) return json;
  const device::Properties& properties = gpu.cuda->properties;
  json["index"] = gpu.cuda->index;
  json["name"] = properties.name;
  json["uuid"] = properties.uuid;
  json["memory_bytes"] = properties.memory_bytes;
  json["compute_capability"] = compute_capability(properties);
  json["multiprocessors"] = properties.multiprocessors;
  json["peers"] = gpu.cuda->peers;
  return json;
}

/// The engines, and what those for GPUs stand on.
Json say_engines(const Report& report) {
  Json json = availabilities(report.engines);
  Json cuda{{"available", report.cuda.reason.empty()}};
  if (!report.cuda.reason.empty()) cuda["reason"] = report.cuda.reason;
  const auto version = [](int number) { return number == 0 ? Json() : Json(cuda_version(number)); };
  cuda["driver"] = version(report.cuda.versions.driver);
  cuda["runtime"] = version(report.cuda.versions.runtime);
  cuda["devices"] = report.cuda.devices.size();
  json["cuda"] = std::move(cuda);
  if (json.contains("nccl"))
    json["nccl"]["version"] = report.nccl.version == 0 ? Json() : Json(nccl_version(report.nccl.version));
  return json;
}

std::string say_gpu_text(const Gpu& gpu) {
  if (!gpu.cuda) return gpu.bus + " " + gpu.model;
  const device::Properties& properties = gpu.cuda->properties;
  std::string text = std::to_string(gpu.cuda->index) + ": " + properties.name + ", " +
                     std::to_string(properties.memory_bytes >> 20) + " MiB, compute capability " +
                     compute_capability(properties) + ", " + (gpu.bus.empty() ? "" : gpu.bus + ", ") + properties.uuid;
  if (gpu.cuda->peers.empty()) return text;
  text += ", reaches";
  for (const int peer : gpu.cuda->peers) text += " " + std::to_string(peer);
  return text;
}

std::string say_versions(const Cuda& cuda) {
  return "driver " + cuda_version(cuda.versions.driver) + ", run-time " + cuda_version(cuda.versions.runtime);
}

template <class T>
std::string or_unknown(const std::optional<T>& value) {
  std::ostringstream text;
  if (value) {
    text << *value;
  } else {
    text << "unknown";
  }
  return text.str();
}

void add_line(std::string& text, std::string name, const std::string& value) {
  constexpr std::size_t column = 16;
  name.resize(std::max(column, name.size() + 1), ' ');
  text += name + value + "\n";
}

bool is_secret(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  name = "_" + name + "_";
  for (const char* word :
       {"_token_", "_key_", "_secret_", "_password_", "_passwd_", "_credential_", "_credentials_", "_apikey_"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  return false;
}

/// The values as JSON; a text under a name that is a secret's is not told.
Json say_hyperparameters(const std::map<std::string, std::string>& given) {
  Json object = Json::object();
  for (const auto& [name, value] : given) {
    Json decoded = Json::parse(value);
    const bool hidden = is_secret(name) && decoded.is_string();
    object[name] = hidden ? Json("(hidden)") : std::move(decoded);
  }
  return object;
}

std::string say(const Availability& item) { return item.available ? "available" : "not available: " + item.reason; }

void add_ranks(std::string& text, const platform::ClusterSpec& cluster) {
  if (cluster.role == platform::Role::server) {
    add_line(text, "role",
             "server " + std::to_string(cluster.server_index.value_or(0)) + " of " + std::to_string(cluster.servers));
  } else if (cluster.role != platform::Role::worker) {
    add_line(text, "role", std::string(platform::name_of(cluster.role)));
  } else if (cluster.servers > 0) {
    add_line(text, "servers", std::to_string(cluster.servers));
  }
  if (!cluster.ranks_known) {
    const bool worker = cluster.role == platform::Role::worker;
    add_line(text, "rank", worker ? "known when the hosts have met" : "none");
  } else if (cluster.level == "node" && cluster.local_world.value_or(1) > 1) {
    add_line(text, "ranks",
             std::to_string(cluster.rank) + " to " + std::to_string(cluster.rank + *cluster.local_world - 1) + " of " +
                 std::to_string(cluster.world) + ", still to be started");
  } else {
    add_line(text, "rank", std::to_string(cluster.rank) + " of " + std::to_string(cluster.world));
  }
  if (cluster.level == "node") return;
  add_line(text, "local rank", std::to_string(cluster.local_rank) + " of " + or_unknown(cluster.local_world));
}

void add_places(std::string& text, const platform::ClusterSpec& cluster) {
  for (const auto& [name, place] :
       {std::pair{"model", cluster.model_dir}, std::pair{"checkpoints", cluster.checkpoint_dir},
        std::pair{"output", cluster.output_dir}, std::pair{"tensorboard", cluster.tensorboard_dir},
        std::pair{"failure file", cluster.failure_file}, std::pair{"termination", cluster.termination_message}}) {
    if (place) add_line(text, name, *place);
  }
  for (const auto& [name, channel] : cluster.inputs) {
    constexpr std::string_view modes[]{"", " (streamed)", " (pipe)"};
    add_line(text, "input " + name,
             channel.path + std::string(modes[static_cast<std::size_t>(channel.mode)]) +
                 (channel.sharded ? " (a part of it on every host)" : ""));
  }
  const Json hyperparameters = say_hyperparameters(cluster.hyperparameters);
  for (const auto& [name, value] : hyperparameters.items())
    add_line(text, "hyperparameter", name + " = " + value.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (cluster.restart_count > 0) add_line(text, "restarted", std::to_string(cluster.restart_count) + " times");
}

}  // namespace

std::string to_json(const Report& report) {
  const platform::ClusterSpec& cluster = report.cluster;
  Json gpus = Json::array();
  for (const Gpu& gpu : report.gpus) gpus.push_back(say_gpu(gpu));
  Json inputs = Json::object();
  for (const auto& [name, channel] : cluster.inputs) inputs[name] = channel.path;
  Json json{{"platform", cluster.platform},
            {"launcher", cluster.launcher},
            {"level", cluster.level},
            {"node_rank", or_null(cluster.node_rank)},
            {"nnodes", or_null(cluster.nnodes)},
            {"rank", cluster.ranks_known ? Json(cluster.rank) : Json(nullptr)},
            {"world", cluster.ranks_known ? Json(cluster.world) : Json(nullptr)},
            {"local_rank", cluster.local_rank},
            {"local_world", or_null(cluster.local_world)},
            {"master", or_null(cluster.master)},
            {"port", or_null(cluster.port)},
            {"interface", or_null(report.interface)},
            {"model_dir", or_null(cluster.model_dir)},
            {"checkpoint_dir", or_null(cluster.checkpoint_dir)},
            {"output_dir", or_null(cluster.output_dir)},
            {"tensorboard_dir", or_null(cluster.tensorboard_dir)},
            {"inputs", inputs},
            {"hyperparameters", say_hyperparameters(cluster.hyperparameters)},
            {"gpus", gpus},
            {"engines", say_engines(report)},
            {"transports", availabilities(report.transports)},
            {"warnings", report.warnings}};
  if (cluster.role != platform::Role::worker) json["role"] = platform::name_of(cluster.role);
  // Variables may hold any bytes; JSON only UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_text(const Report& report) {
  const platform::ClusterSpec& cluster = report.cluster;
  std::string text;
  add_line(text, "platform", cluster.platform);
  add_line(text, "launcher", cluster.launcher + " (level " + cluster.level + ")");
  add_ranks(text, cluster);
  add_line(text, "host",
           or_unknown(cluster.node_rank) + " of " + or_unknown(cluster.nnodes) +
               (cluster.node_name.empty() ? "" : " (" + cluster.node_name + ")"));
  if (cluster.master) {
    add_line(text, "meeting point", *cluster.master + (cluster.port ? ", port " + std::to_string(*cluster.port) : ""));
  }
  add_line(text, "interface", report.interface.value_or("none but loopback"));
  add_places(text, cluster);
  add_line(text, "processors", std::to_string(report.machine.processors));
  if (report.machine.memory_bytes != 0) {
    add_line(text, "memory", std::to_string(report.machine.memory_bytes >> 20) + " MiB");
  }
  if (report.gpus.empty()) add_line(text, "gpus", "none");
  for (const Gpu& gpu : report.gpus) add_line(text, "gpu", say_gpu_text(gpu));
  add_line(text, "cuda",
           report.cuda.reason.empty() ? say_versions(report.cuda) : "not available: " + report.cuda.reason);
  add_line(text, "nccl",
           report.nccl.version == 0 ? "not available: " + report.nccl.reason : nccl_version(report.nccl.version));
  for (const Availability& engine : report.engines) add_line(text, "engine " + engine.name, say(engine));
  for (const Availability& transport : report.transports) add_line(text, "transport " + transport.name, say(transport));
  for (const std::string& warning : report.warnings) add_line(text, "warning", warning);
  return text;
}

std::vector<std::string> find_warnings(const Report& report, const platform::Environment& environment) {
  std::vector<std::string> warnings = report.cluster.warnings;
  bool has_key = environment.has("TRIREME_JOB_KEY") || environment.has("TRIREME_JOB_KEY_FILE");
  // Without a meeting point the ranks meet through MPI, and a fresh key goes with its address.
  if (report.cluster.world > 1 && report.cluster.master && !has_key) {
    warnings.push_back(
        "no job key (TRIREME_JOB_KEY_FILE or TRIREME_JOB_KEY): one derived from the job's id prevents "
        "cross-talk, not attack");
  }
  int local = report.cluster.local_world.value_or(1);
  if (local > report.machine.processors) {
    warnings.push_back(std::to_string(local) + " ranks on this host share " +
                       std::to_string(report.machine.processors) + " processors");
  }
  if (!report.gpus.empty() && !report.cuda.reason.empty()) {
    warnings.push_back(std::to_string(report.gpus.size()) +
                       " GPUs are here, and nothing computes on them: " + report.cuda.reason);
  }
  if (report.cuda.devices.size() > 1 && report.nccl.version == 0)
    warnings.push_back("several GPUs and no NCCL: " + report.nccl.reason);
  if (const std::string apart = devices_apart(report.cuda); !apart.empty())
    warnings.push_back(apart + ": what they exchange goes through the host");
  for (const Availability& transport : report.transports) {
    if (!transport.available)
      warnings.push_back("transport " + transport.name + " is not available: " + transport.reason);
  }
  return warnings;
}

}  // namespace trireme::cli
