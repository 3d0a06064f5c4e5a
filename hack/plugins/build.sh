#!/usr/bin/env bash
# Builds the reference CNI plugins that are installed beside ours, under the names
# that they have there, into the folder given. GOARCH is heeded.
set -euo pipefail
out=$(cd -- "${1:?the folder to build into is missing}" && pwd)
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

readonly module=github.com/containernetworking/plugins
version=$(sed -n "s|.*$module \(v[^ ]*\).*|\1|p" go.mod)
for plugin in bandwidth portmap; do
  CGO_ENABLED=0 GOOS=linux GOWORK=off go build -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X $module/pkg/utils/buildversion.BuildVersion=$version" \
    -o "$out/fairlead-$plugin" "$module/plugins/meta/$plugin"
done
