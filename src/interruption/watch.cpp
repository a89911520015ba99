// SPDX-License-Identifier: Apache-2.0
#include "trireme/interruption/watch.hpp"

#include "interruption/azure_events.hpp"
#include "interruption/compute_engine.hpp"
#include "interruption/ec2_spot.hpp"
#include "interruption/poller.hpp"
#include "interruption/slurm.hpp"

#include <algorithm>

namespace trireme::interruption {
namespace {

/// Null where there is nobody to ask.
std::unique_ptr<Source> make_source(SourceKind kind, const std::string& url, const WatchOptions& options) {
  switch (kind) {
    case SourceKind::ec2_spot: return std::make_unique<Ec2Spot>(url);
    case SourceKind::compute_engine: return std::make_unique<ComputeEngine>(url);
    case SourceKind::azure_events: return std::make_unique<AzureEvents>(url);
    case SourceKind::slurm:
      return options.slurm_end ? std::make_unique<SlurmEnd>(*options.slurm_end, Moment::now()) : nullptr;
  }
  return nullptr;
}

class PolledWatch final : public Watch {
 public:
  explicit PolledWatch(const WatchOptions& options) {
    const MetadataAddress address = parse_metadata_address(options.address);
    for (const SourceKind kind : options.sources) {
      if (auto source = make_source(kind, address.url, options))
        pollers_.push_back(std::make_unique<Poller>(std::move(source), address, options.log));
    }
  }
  PolledWatch(const PolledWatch&) = delete;
  ~PolledWatch() override {
    for (const auto& each : pollers_) each->stop();
  }

  std::optional<Notice> current() const override {
    std::optional<Notice> nearest;
    for (const auto& each : pollers_) {
      auto notice = each->current();
      if (notice && (!nearest || notice->deadline < nearest->deadline)) nearest = std::move(notice);
    }
    return nearest;
  }

  bool is_over() const override {
    return std::all_of(pollers_.begin(), pollers_.end(), [](const auto& each) { return each->is_over(); });
  }

 private:
  std::vector<std::unique_ptr<Poller>> pollers_;
};

}  // namespace

std::unique_ptr<Watch> start_watch(const WatchOptions& options) { return std::make_unique<PolledWatch>(options); }

}  // namespace trireme::interruption
