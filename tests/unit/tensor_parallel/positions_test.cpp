// SPDX-License-Identifier: Apache-2.0
// Sequence parallelism: what lies between tensor-parallel layers is shared by positions.
#include "kernels/layer_norm/layer_norm.hpp"
#include "trireme/tensor_parallel/column_linear.hpp"
#include "trireme/tensor_parallel/positions_dropout.hpp"
#include "trireme/tensor_parallel/positions_norm.hpp"
#include "trireme/tensor_parallel/row_linear.hpp"
#include "unit/tensor_parallel/field.hpp"

namespace trireme::tensor_parallel {
namespace {

using namespace testing;

}  // namespace

TEST_CASE("Column then row from and to positions equals the dense pair, with a bias on both") {
  for (const int ranks : {1, 2, 3, 8}) {
    CAPTURE(ranks);
    REQUIRE(on_axis(ranks, [](Axis& axis) {
              constexpr std::size_t rows = 5, width = 6, inside = 10;
              const Values x = numbers(rows * width, 1), w1 = numbers(inside * width, 2), b1 = numbers(inside, 3),
                           w2 = numbers(width * inside, 4), b2 = numbers(width, 5), dy = numbers(rows * width, 6);
              Values h = times(x, false, w1, true, rows, inside, width);
              add_to_rows(h, b1);
              Values y = times(h, false, w2, true, rows, width, inside);
              add_to_rows(y, b2);
              const Values dh = times(dy, false, w2, false, rows, inside, width);

              ColumnParallelLinear<double> expand(axis, "expand", {.inputs = width, .outputs = inside});
              RowParallelLinear<double> contract(axis, "contract", {.inputs = inside, .outputs = width});
              const Split positions = expand.positions(rows);
              const Values mine_x = share_of(axis, positions, x), mine_w1 = share_of(axis, expand.weight(), w1),
                           mine_b1 = share_of(axis, expand.bias(), b1), mine_w2 = share_of(axis, contract.weight(), w2),
                           mine_dy = share_of(axis, positions, dy);
              Values gathered(rows * width), middle(rows * expand.local_outputs()), out(mine_x.size());
              expand.forward_from_positions(mine_x.data(), rows, mine_w1.data(), mine_b1.data(), gathered.data(),
                                            middle.data());
              contract.forward_to_positions(middle.data(), rows, mine_w2.data(), b2.data(), out.data());
              std::string complaints = same("the gathered input", gathered, x);
              complaints += close("y", out, share_of(axis, positions, y));

              Values whole_dy(rows * width), dw2(mine_w2.size()), db2(width), dmiddle(middle.size()),
                  dw1(mine_w1.size()), db1(mine_b1.size()), dx(mine_x.size());
              contract.backward_from_positions(middle.data(), mine_dy.data(), rows, mine_w2.data(), whole_dy.data(),
                                               dw2.data(), db2.data(), dmiddle.data());
              expand.backward_to_positions(gathered.data(), dmiddle.data(), rows, mine_w1.data(), dw1.data(),
                                           db1.data(), dx.data());
              complaints += close("db2", db2, column_sums(dy, width));
              complaints +=
                  close("dw2", dw2, share_of(axis, contract.weight(), times(dy, true, h, false, width, inside, rows)));
              complaints += close("db1", db1, share_of(axis, expand.bias(), column_sums(dh, inside)));
              complaints +=
                  close("dw1", dw1, share_of(axis, expand.weight(), times(dh, true, x, false, inside, width, rows)));
              complaints +=
                  close("dx", dx, share_of(axis, positions, times(dh, false, w1, false, rows, width, inside)));
              return complaints;
            }) == "");
  }
}

TEST_CASE("A layer norm shared by positions has the rows of the whole one, to the bit, and its gradients to 1e-12") {
  for (const int ranks : {1, 2, 3, 8}) {
    CAPTURE(ranks);
    REQUIRE(on_axis(ranks, [](Axis& axis) {
              constexpr std::size_t rows = 7, columns = 12;
              const Values x = numbers(rows * columns, 1), gain = numbers(columns, 2), bias = numbers(columns, 3),
                           dy = numbers(rows * columns, 4);
              Values y(x.size()), means(rows), roots(rows), dx(x.size(), 0.5), terms(x.size());
              kernels::layer_norm<double>(
                  {y.data(), x.data(), gain.data(), bias.data(), means.data(), roots.data(), rows, columns});
              kernels::layer_norm_backward<double>({dx.data(), terms.data(), dy.data(), x.data(), gain.data(),
                                                    means.data(), roots.data(), rows, columns});
              PositionsLayerNorm<double> norm(axis, "norm", columns);
              const Split positions{1, rows, columns};
              const std::size_t own = axis.share(positions).size();
              const Values mine = share_of(axis, positions, x), mine_dy = share_of(axis, positions, dy);
              Values out(mine.size()), own_means(own), own_roots(own), own_dx(mine.size(), 0.5), dgain(columns),
                  dbias(columns);
              norm.forward(mine.data(), own, gain.data(), bias.data(), out.data(), own_means.data(), own_roots.data());
              norm.backward(mine.data(), mine_dy.data(), own, gain.data(), own_means.data(), own_roots.data(),
                            own_dx.data(), dgain.data(), dbias.data());
              return same("y", out, share_of(axis, positions, y)) + same("dx", own_dx, share_of(axis, positions, dx)) +
                     close("dgain", dgain, column_sums(terms, columns)) +
                     close("dbias", dbias, column_sums(dy, columns));
            }) == "");
  }
}

TEST_CASE("Dropout shared by positions is the mask of the whole on any number of ranks") {
  const PositionsShape shape{.rows = 3, .length = 5, .channels = 7};
  const data::DropoutMask mask(0.4, 9, 2, 11);
  Values whole = numbers(shape.split().count(), 1);
  mask.apply(whole.data(), shape.rows, shape.length * shape.channels, 4);
  REQUIRE(std::count(whole.begin(), whole.end(), 0.0) > 20);
  for (const int ranks : {1, 2, 4, 8}) {
    CAPTURE(ranks);
    REQUIRE(on_axis(ranks, [&](Axis& axis) {
              Values share = share_of(axis, shape.split(), numbers(shape.split().count(), 1));
              positions_dropout(axis, shape, mask, 4, share.data());
              return same("the share", share, share_of(axis, shape.split(), whole));
            }) == "");
  }
}

}  // namespace trireme::tensor_parallel
