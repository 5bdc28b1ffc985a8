#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Generate the stubs, build the Go client and its example, and test them, with Debian's Go packages
# alone and no network: serve/client/go/build.sh [DIR], build/go if not given. The example is then
# DIR/batch100, and GOPATH=DIR/gopath:/usr/share/gocode finds the package "auspex".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
mkdir -p "${1:-$root/build/go}"
out=$(cd "${1:-$root/build/go}" && pwd)

gopath=$out/gopath
source=$gopath/src/auspex
rm -rf "$source"
mkdir -p "$source"
cp -r "$here"/*.go "$here"/cmd "$source"
protoc -I "$root/proto" --go_out="$gopath/src" --go-grpc_out="$gopath/src" auspex/v1/inference.proto

export GO111MODULE=off GOFLAGS= GOPATH=$gopath:/usr/share/gocode
[ -n "${HOME:-}" ] || export GOCACHE=$out/cache # Go wants a place for its compiled packages
unformatted=$(gofmt -l "$here")
if [ -n "$unformatted" ]; then
    echo "build.sh: gofmt -w $unformatted" >&2
    exit 1
fi
cd "$source"
go vet auspex/...
go build -o "$out/batch100" auspex/cmd/batch100
go test -count=1 auspex/...
