#!/usr/bin/env bash
# Makes a Debian machine ready for the lab and the tests. It may be run at any
# time, by several processes at once; with nothing to do it takes well under a
# second.
#
#   hack/setup.sh              packages, then kubernetes
#   hack/setup.sh packages     install what is missing, by apt (root)
#   hack/setup.sh kubernetes   build etcd, kube-apiserver and kubectl, and
#                              print the folder that holds them
#   hack/setup.sh --print-bin  print that folder without building anything
#
# Only the folder goes to stdout; everything else goes to stderr.
#
# FAIRLEAD_CACHE is where built programs are kept; default
# $XDG_CACHE_HOME/fairlead, or ~/.cache/fairlead.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly cache=${FAIRLEAD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fairlead}

# The routers, the kernel's tools, the reference CNI plugins that we measure
# against, a container runtime, udev, and a C compiler for the race detector.
readonly packages=(
  bird2 frr
  iproute2 iptables iputils-ping nftables traceroute
  containernetworking-plugins
  containerd runc udev
  gcc libc6-dev
  ca-certificates git make
)

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# installed PACKAGE: Docker brings its own containerd and runc, which Debian's
# would push off the machine.
installed() {
  case $1 in
  containerd | runc) ! command -v "$1" >/dev/null || return 0 ;;
  esac
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

install_packages() {
  command -v dpkg-query >/dev/null || die "no dpkg here: install these yourself: ${packages[*]}"
  local missing=() package
  for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
  done
  go_from_apt && missing+=(golang-go)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  [[ $EUID -eq 0 ]] || die "run as root, or first: apt-get install ${missing[*]}"
  (
    flock 9 # two runs would restore each other's policy-rc.d
    apt_install "${missing[@]}"
  ) 9>/run/lock/fairlead-setup
}

# apt_install PACKAGE..: without starting the services that come with them.
apt_install() {
  say "installing: $*"
  forbid_services
  trap permit_services EXIT
  local apt=(apt-get -q -y -o DPkg::Lock::Timeout=300)
  export DEBIAN_FRONTEND=noninteractive
  "${apt[@]}" update >&2
  "${apt[@]}" install --no-install-recommends "$@" >&2
  local package
  for package in "$@"; do
    # The lab starts routers of its own; a machine's stays as its owner had it.
    case $package in
    frr) update-rc.d frr disable >&2 ;;
    bird2) update-rc.d bird disable >&2 ;;
    containerd) ! command -v systemctl >/dev/null || systemctl disable containerd.service >&2 ;;
    esac
  done
}

# Debian starts a service as it is installed, unless /usr/sbin/policy-rc.d says
# 101 (action forbidden). One that is there already is put back afterwards.
readonly policy=/usr/sbin/policy-rc.d

forbid_services() {
  if [[ -e $policy ]] && ! grep -q fairlead "$policy"; then
    mv "$policy" "$policy.before-fairlead"
  fi
  printf '#!/bin/sh\n# By fairlead hack/setup.sh while it installs packages.\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}

permit_services() {
  rm -f "$policy"
  if [[ -e $policy.before-fairlead ]]; then
    mv "$policy.before-fairlead" "$policy"
  fi
}

# go_needed prints the lowest Go version that builds everything here.
go_needed() { sed -n 's/^go //p' "$here/../go.mod"; }

# go_version prints the version of the go that will be used, or nothing.
go_version() { (cd "$here" && go env GOVERSION 2>/dev/null | sed 's/^go//') || true; }

# go_suffices VERSION
go_suffices() {
  [[ -n $1 && $(printf '%s\n' "$(go_needed)" "$1" | sort -V | head -1) == "$(go_needed)" ]]
}

# go_from_apt is true when Go is missing and Debian has one that is new enough.
go_from_apt() {
  ! go_suffices "$(go_version)" || return 1
  local candidate
  candidate=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/^ *Candidate: [0-9]*:\{0,1\}//p')
  go_suffices "${candidate%%[~+-]*}"
}

require_go() {
  local have
  have=$(go_version)
  go_suffices "$have" ||
    die "Go $(go_needed) or later is needed, and ${have:-none} is here: see https://go.dev/doc/install"
}

# What the binaries say that they are; clients choose their behaviour by it.
kubernetes_ldflags() {
  local version minor package
  version=$(sed -n 's|^require k8s.io/kubernetes ||p' "$here/kubernetes/go.mod")
  minor=${version#v1.}
  minor=${minor%%.*}
  printf -- '-s -w'
  for package in k8s.io/client-go/pkg/version k8s.io/component-base/version; do
    printf -- ' -X %s' \
      "$package.gitVersion=$version" "$package.gitMajor=1" "$package.gitMinor=$minor" \
      "$package.gitTreeState=clean" "$package.gitCommit=0000000000000000000000000000000000000000" \
      "$package.buildDate=2026-01-01T00:00:00Z"
  done
}

readonly build=(env CGO_ENABLED=0 GOWORK=off go build -p 2 -mod=readonly -buildvcs=false -trimpath)

# bin_dir prints the folder of these very programs: other sources, other flags
# or another Go give another folder.
bin_dir() {
  local key
  key=$({
    cat "$here"/{kubernetes,etcd}/go.{mod,sum}
    echo "${build[*]} $(kubernetes_ldflags)"
    cd "$here" && go env GOVERSION GOOS GOARCH
  } | sha256sum)
  printf '%s/kubernetes-%s\n' "$cache" "${key:0:16}"
}

build_kubernetes() {
  local dir tmp
  require_go
  dir=$(bin_dir)
  mkdir -p "$cache"
  (
    flock 9
    [[ ! -d $dir ]] || exit 0
    say "building etcd, kube-apiserver and kubectl (ten minutes the first time)"
    tmp=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    cd "$here/kubernetes"
    "${build[@]}" -ldflags "$(kubernetes_ldflags)" -o "$tmp/" \
      k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl
    cd "$here/etcd"
    "${build[@]}" -ldflags '-s -w' -o "$tmp/etcd" go.etcd.io/etcd/server/v3
    chmod 755 "$tmp"
    mv "$tmp" "$dir"
  ) 9>"$cache/lock" >&2
  printf '%s\n' "$dir"
}

case ${1:-all} in
all)
  install_packages
  build_kubernetes
  ;;
packages) install_packages ;;
kubernetes) build_kubernetes ;;
--print-bin)
  require_go
  bin_dir
  ;;
*) die "unknown argument $1: packages, kubernetes, --print-bin or none" ;;
esac
