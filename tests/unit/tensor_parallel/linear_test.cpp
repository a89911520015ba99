// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/tensor_parallel/column_linear.hpp"
#include "trireme/tensor_parallel/conjugate.hpp"
#include "trireme/tensor_parallel/row_linear.hpp"
#include "unit/tensor_parallel/field.hpp"

namespace trireme::tensor_parallel {
namespace {

using namespace testing;

/// A dense layer y = x W^T + b and its gradients, in plain loops.
struct Dense {
  std::size_t rows, inputs, outputs;
  Values x, w, b, dy, y, dx, dw, db;
  Dense(std::size_t r, std::size_t i, std::size_t o)
      : rows(r),
        inputs(i),
        outputs(o),
        x(numbers(r * i, 1)),
        w(numbers(o * i, 2)),
        b(numbers(o, 3)),
        dy(numbers(r * o, 4)) {
    y = times(x, false, w, true, rows, outputs, inputs);
    add_to_rows(y, b);
    dx = times(dy, false, w, false, rows, inputs, outputs);
    dw = times(dy, true, x, false, outputs, inputs, rows);
    db = column_sums(dy, outputs);
  }
};

struct Case {
  std::size_t rows, inputs, outputs, segments, unit;
};
const std::vector<Case> cases = {
    {5, 7, 11, 1, 1}, {4, 6, 24, 3, 4}, {1, 3, 2, 1, 1}, {3, 16, 9, 3, 3}, {2, 5, 64, 1, 8}};

}  // namespace

TEST_CASE("A column-parallel layer equals the dense one: outputs and all gradients, to 1e-12") {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    CAPTURE(ranks);
    REQUIRE(on_axis(ranks, [](Axis& axis) {
              std::string complaints;
              for (const Case& c : cases) {
                const Dense dense(c.rows, c.inputs, c.outputs);
                ColumnParallelLinear<double> layer(
                    axis, "expand", {.inputs = c.inputs, .outputs = c.outputs, .segments = c.segments, .unit = c.unit});
                const Split output = layer.output(c.rows);
                const Values w = share_of(axis, layer.weight(), dense.w), b = share_of(axis, layer.bias(), dense.b);
                const Values dy = share_of(axis, output, dense.dy);
                Values y(dy.size()), dw(w.size()), db(b.size()), dx(dense.dx.size());
                layer.forward(dense.x.data(), c.rows, w.data(), b.data(), y.data());
                complaints += close("y", y, share_of(axis, output, dense.y));
                layer.backward(dense.x.data(), dy.data(), c.rows, w.data(), dw.data(), db.data(), dx.data());
                complaints += close("dw", dw, share_of(axis, layer.weight(), dense.dw));
                complaints += close("db", db, share_of(axis, layer.bias(), dense.db));
                complaints += close("dx", dx, dense.dx);
                Values no_bias(y.size());
                layer.forward(dense.x.data(), c.rows, w.data(), nullptr, no_bias.data());
                Values wanted = dense.y;
                for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] -= dense.b[i % c.outputs];
                complaints += close("y without bias", no_bias, share_of(axis, output, wanted));
              }
              return complaints;
            }) == "");
  }
}

TEST_CASE("An output of a column-parallel layer has the same bits on any number of ranks") {
  const auto outputs_on = [](int ranks) {
    Values whole(5 * 37);
    const std::string complaints = on_axis(ranks, [&](Axis& axis) {
      const Values x = numbers(5 * 33, 1), w = numbers(37 * 33, 2);
      ColumnParallelLinear<double> layer(axis, "expand", {.inputs = 33, .outputs = 37});
      const Values mine = share_of(axis, layer.weight(), w);
      Values y(5 * layer.local_outputs()), gathered(5 * 37);
      layer.forward(x.data(), 5, mine.data(), nullptr, y.data());
      sharded_to_replicated(axis, layer.output(5), std::span<const double>(y), std::span<double>(gathered), "gather");
      if (axis.rank() == 0) whole = gathered;
      return std::string();
    });
    REQUIRE(complaints.empty());
    return whole;
  };
  const Values one = outputs_on(1);
  for (const int ranks : {2, 3, 8}) REQUIRE(outputs_on(ranks) == one);
}

TEST_CASE("A row-parallel layer equals the dense one: outputs and all gradients, to 1e-12") {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    CAPTURE(ranks);
    REQUIRE(on_axis(ranks, [](Axis& axis) {
              std::string complaints;
              for (const Case& c : cases) {
                const Dense dense(c.rows, c.outputs, c.inputs);  // the other way round
                RowParallelLinear<double> layer(axis, "contract",
                                                {.inputs = c.outputs, .outputs = c.inputs, .unit = c.unit});
                const Values w = share_of(axis, layer.weight(), dense.w),
                             x = share_of(axis, layer.input(c.rows), dense.x);
                Values y(dense.y.size()), dw(w.size()), db(dense.db.size()), dx(x.size());
                layer.forward(x.data(), c.rows, w.data(), dense.b.data(), y.data());
                complaints += close("y", y, dense.y);
                layer.backward(x.data(), dense.dy.data(), c.rows, w.data(), dw.data(), db.data(), dx.data());
                complaints += close("dw", dw, share_of(axis, layer.weight(), dense.dw));
                complaints += close("db", db, dense.db);
                complaints += close("dx", dx, share_of(axis, layer.input(c.rows), dense.dx));
              }
              return complaints;
            }) == "");
  }
}

TEST_CASE("Column then row is a dense pair of layers that meet without communication between them") {
  for (const int ranks : {1, 2, 3, 5}) {
    CAPTURE(ranks);
    REQUIRE(on_axis(ranks, [](Axis& axis) {
              constexpr std::size_t rows = 4, width = 6, inside = 13;
              const Dense first(rows, width, inside);
              Dense second(rows, inside, width);
              second.x = first.y;
              second.y = times(second.x, false, second.w, true, rows, width, inside);
              const Values dinside = times(second.dy, false, second.w, false, rows, inside, width);
              const Values dx = times(dinside, false, first.w, false, rows, width, inside);
              ColumnParallelLinear<double> expand(axis, "expand", {.inputs = width, .outputs = inside});
              RowParallelLinear<double> contract(axis, "contract", {.inputs = inside, .outputs = width});
              const Values w1 = share_of(axis, expand.weight(), first.w), b1 = share_of(axis, expand.bias(), first.b),
                           w2 = share_of(axis, contract.weight(), second.w);
              Values middle(rows * expand.local_outputs()), y(rows * width);
              expand.forward(first.x.data(), rows, w1.data(), b1.data(), middle.data());
              contract.forward(middle.data(), rows, w2.data(), nullptr, y.data());
              std::string complaints = close("y", y, second.y);
              Values dw2(w2.size()), dmiddle(middle.size()), dw1(w1.size()), db1(b1.size()), found(rows * width);
              contract.backward(middle.data(), second.dy.data(), rows, w2.data(), dw2.data(), nullptr, dmiddle.data());
              expand.backward(first.x.data(), dmiddle.data(), rows, w1.data(), dw1.data(), db1.data(), found.data());
              complaints += close("dx", found, dx);
              complaints +=
                  close("dw1", dw1,
                        share_of(axis, expand.weight(), times(dinside, true, first.x, false, inside, width, rows)));
              complaints += close(
                  "dw2", dw2,
                  share_of(axis, contract.weight(), times(second.dy, true, second.x, false, width, inside, rows)));
              return complaints;
            }) == "");
  }
}

TEST_CASE("Segments and units that do not divide are refused, naming the layer") {
  REQUIRE(on_axis(1, [](Axis& axis) {
            std::string complaints;
            const auto refused = [&](const std::string& part, auto call) {
              try {
                call();
                complaints += "not refused: " + part;
              } catch (const Exception& error) {
                if (error.error().code != ErrorCode::invalid_argument ||
                    error.error().message.find(part) == std::string::npos)
                  complaints += error.error().message;
              }
            };
            refused("'qkv': 10 outputs cannot be 3 segments",
                    [&] { ColumnParallelLinear<float>(axis, "qkv", {.inputs = 4, .outputs = 10, .segments = 3}); });
            refused("'qkv': 12 outputs cannot be 3 segments shared in units of 3", [&] {
              ColumnParallelLinear<float>(axis, "qkv", {.inputs = 4, .outputs = 12, .segments = 3, .unit = 3});
            });
            refused("'projection': 10 inputs cannot be shared in units of 4",
                    [&] { RowParallelLinear<float>(axis, "projection", {.inputs = 10, .outputs = 12, .unit = 4}); });
            return complaints;
          }) == "");
}

}  // namespace trireme::tensor_parallel
