#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: no_weak_symbols.sh NM OBJECT…: fails when an object defines a weak or unique symbol, or when none was given.
nm=$1
shift
[ $# -gt 0 ] || { echo "no objects given" >&2; exit 1; }
for object in "$@"; do
  [ -s "$object" ] || { echo "$object is not there" >&2; exit 1; }
done
weak=$("$nm" -C --defined-only "$@" | grep -E '^[0-9a-f]+ [VWuvw] ' | grep -v -E ' (DW\.ref\.|__odr_asan|\.L)')
[ -z "$weak" ] || { echo "weak definitions among the objects of newer instruction sets:" >&2; echo "$weak" >&2; exit 1; }
