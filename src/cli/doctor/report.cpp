// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/report.hpp"

#include <nlohmann/json.hpp>

#include <sstream>

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

std::string say(const Availability& item) { return item.available ? "available" : "not available: " + item.reason; }

}  // namespace

std::string to_json(const Report& report) {
  const platform::ClusterSpec& cluster = report.cluster;
  Json gpus = Json::array();
  for (const Gpu& gpu : report.gpus) gpus.push_back({{"bus", gpu.bus}, {"model", gpu.model}});
  Json inputs = Json::object(), hyperparameters = Json::object();
  for (const auto& [name, channel] : cluster.inputs) inputs[name] = channel.path;
  for (const auto& [name, value] : cluster.hyperparameters) hyperparameters[name] = Json::parse(value);
  Json json{{"platform", cluster.platform},
            {"launcher", cluster.launcher},
            {"level", cluster.level},
            {"node_rank", or_null(cluster.node_rank)},
            {"nnodes", or_null(cluster.nnodes)},
            {"rank", cluster.rank},
            {"world", cluster.world},
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
            {"hyperparameters", hyperparameters},
            {"gpus", gpus},
            {"engines", availabilities(report.engines)},
            {"transports", availabilities(report.transports)},
            {"warnings", report.warnings}};
  // Variables may hold any bytes; JSON only UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_text(const Report& report) {
  const platform::ClusterSpec& cluster = report.cluster;
  std::string text;
  add_line(text, "platform", cluster.platform);
  add_line(text, "launcher", cluster.launcher + " (level " + cluster.level + ")");
  add_line(text, "rank", std::to_string(cluster.rank) + " of " + std::to_string(cluster.world));
  add_line(text, "local rank", std::to_string(cluster.local_rank) + " of " + or_unknown(cluster.local_world));
  add_line(text, "host", or_unknown(cluster.node_rank) + " of " + or_unknown(cluster.nnodes));
  if (cluster.master) {
    add_line(text, "meeting point", *cluster.master + (cluster.port ? ", port " + std::to_string(*cluster.port) : ""));
  }
  add_line(text, "interface", report.interface.value_or("none but loopback"));
  add_line(text, "processors", std::to_string(report.machine.processors));
  if (report.machine.memory_bytes != 0) {
    add_line(text, "memory", std::to_string(report.machine.memory_bytes >> 20) + " MiB");
  }
  if (report.gpus.empty()) add_line(text, "gpus", "none");
  for (const Gpu& gpu : report.gpus) add_line(text, "gpu", gpu.bus + " " + gpu.model);
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
  if (!report.gpus.empty()) {
    warnings.push_back(std::to_string(report.gpus.size()) +
                       " GPUs are here, but this version computes on processors only");
  }
  for (const Availability& transport : report.transports) {
    if (!transport.available)
      warnings.push_back("transport " + transport.name + " is not available: " + transport.reason);
  }
  return warnings;
}

}  // namespace trireme::cli
