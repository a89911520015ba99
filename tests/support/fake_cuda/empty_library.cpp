// SPDX-License-Identifier: Apache-2.0
// In a library of this no function of the real one is found.
extern "C" int trireme_nothing() { return 0; }
