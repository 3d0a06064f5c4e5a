#!/usr/bin/env bash
# Makes a Debian machine ready for the lab and the tests. It may be run at any
# time, by several processes at once; with nothing to do it takes well under a
# second.
#
#   hack/setup.sh              packages, then kubernetes
#   hack/setup.sh packages     install what is missing, by apt (root)
#   hack/setup.sh kubernetes   build etcd, kube-apiserver and kubectl, and
#                              print the folder that holds them
#   hack/setup.sh cluster      packages, then build what a whole cluster needs
#                              beside: controller manager, scheduler, kubelet,
#                              kube-proxy, CoreDNS, helm, and images/*.tar
#   hack/setup.sh e2e          build e2e.test and ginkgo, Kubernetes' own tests
#   hack/setup.sh --print-bin, --print-cluster, --print-e2e
#                              print that folder without building anything
#
# Only the folder goes to stdout; everything else goes to stderr.
#
# FAIRLEAD_CACHE is where built programs are kept; default
# $XDG_CACHE_HOME/fairlead, or ~/.cache/fairlead.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly cache=${FAIRLEAD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fairlead}

# What the containers of Kubernetes' own tests call: hack/testimage.
readonly userland=(bash bind9-dnsutils busybox curl dash iproute2 libc-bin libc6 netcat-openbsd)

# The routers, the kernel's tools, the reference CNI plugins that we measure
# against, a container runtime, what else changes a node's kernel, and a C compiler
# for the race detector.
readonly packages=(
  bird2 frr
  iptables iputils-ping nftables traceroute
  containernetworking-plugins
  containerd runc
  firewalld udev
  gcc libc6-dev
  "${userland[@]}"
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
    containerd | firewalld) ! command -v systemctl >/dev/null || systemctl disable "$package.service" >&2 ;;
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
  version=$(sed -En 's,^(require |\t)k8s.io/kubernetes ,,p' "$here/kubernetes/go.mod")
  [[ $version == v1.* ]] || die "no version of k8s.io/kubernetes in hack/kubernetes/go.mod"
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

readonly flags=(-p 2 -mod=readonly -buildvcs=false -trimpath)
readonly build=(env CGO_ENABLED=0 GOWORK=off go build "${flags[@]}")
readonly test=(env CGO_ENABLED=0 GOWORK=off go test -c "${flags[@]}")

# keyed NAME prints the folder of programs built from what stdin tells: other
# sources, other flags or another Go give another folder.
keyed() {
  local key
  key=$({
    cat
    echo "${build[*]} $(kubernetes_ldflags)"
    cd "$here" && go env GOVERSION GOOS GOARCH
  } | sha256sum)
  printf '%s/%s-%s\n' "$cache" "$1" "${key:0:16}"
}

bin_dir() { cat "$here"/{kubernetes,etcd}/go.{mod,sum} | keyed kubernetes; }

# The images hold programs of this machine: its packages count.
cluster_dir() {
  {
    cat "$here"/{kubernetes,coredns,helm,testimage}/go.{mod,sum}
    find "$here"/{coredns,testimage} -name '*.go' ! -name '*_test.go' -print0 | sort -z | xargs -0 cat
    sed -n '/^build_cluster()/,/^}/p' "${BASH_SOURCE[0]}"
    dpkg-query -W "${userland[@]}" 2>/dev/null || true
  } | keyed cluster
}

e2e_dir() { cat "$here"/kubernetes/go.{mod,sum} | keyed e2e; }

# cached FOLDER FUNCTION prints the folder, which the function fills the first
# time; it gets a folder to build in.
cached() {
  require_go
  mkdir -p "$cache"
  [[ -d $1 ]] || (
    flock 9
    [[ ! -d $1 ]] || exit 0
    tmp=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    "$2" "$tmp"
    chmod 755 "$tmp"
    mv "$tmp" "$1"
  ) 9>"$cache/lock" >&2
  printf '%s\n' "$1"
}

build_kubernetes() {
  say "building etcd, kube-apiserver and kubectl (ten minutes the first time)"
  cd "$here/kubernetes"
  "${build[@]}" -ldflags "$(kubernetes_ldflags)" -o "$1/" \
    k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl
  cd "$here/etcd"
  "${build[@]}" -ldflags '-s -w' -o "$1/etcd" go.etcd.io/etcd/server/v3
}

build_cluster() {
  say "building kubelet, kube-proxy, CoreDNS, helm and images (ten minutes the first time)"
  local inside=$1/inside upstream # what is in images alone
  mkdir "$inside"
  cd "$here/kubernetes"
  "${build[@]}" -ldflags "$(kubernetes_ldflags)" -o "$1/" \
    k8s.io/kubernetes/cmd/{kube-controller-manager,kube-scheduler,kubelet,kube-proxy}
  "${build[@]}" -ldflags "$(kubernetes_ldflags)" -o "$inside/" k8s.io/kubernetes/test/images/agnhost
  upstream=$(go list -mod=readonly -m -f '{{.Dir}}' k8s.io/kubernetes)
  cd "$here/helm"
  "${build[@]}" -ldflags '-s -w' -o "$1/helm" helm.sh/helm/v3/cmd/helm
  cd "$here/coredns"
  "${build[@]}" -ldflags '-s -w' -o "$1/coredns" .
  cd "$here/testimage"
  "${build[@]}" -ldflags '-s -w' -o "$inside/" ./pause
  ln "$1/coredns" "$inside/coredns"
  go run -mod=readonly . -bin "$inside" -certs "$upstream/test/images/agnhost/porter" -o "$1/images"
  rm -r "$inside"
}

build_e2e() {
  say "building Kubernetes' own tests (five minutes the first time)"
  cd "$here/kubernetes"
  "${test[@]}" -ldflags "$(kubernetes_ldflags)" -o "$1/e2e.test" k8s.io/kubernetes/test/e2e
  "${build[@]}" -ldflags '-s -w' -o "$1/" github.com/onsi/ginkgo/v2/ginkgo
}

case ${1:-all} in
all)
  install_packages
  cached "$(bin_dir)" build_kubernetes
  ;;
packages) install_packages ;;
kubernetes) cached "$(bin_dir)" build_kubernetes ;;
cluster)
  install_packages
  cached "$(cluster_dir)" build_cluster
  ;;
e2e) cached "$(e2e_dir)" build_e2e ;;
--print-bin | --print-cluster | --print-e2e)
  require_go
  dir=${1#--print-}_dir
  "$dir"
  ;;
*) die "unknown argument $1: packages, kubernetes, cluster, e2e, --print-bin, --print-cluster, --print-e2e or none" ;;
esac
