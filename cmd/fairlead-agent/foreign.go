package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/host"
)

// dockerDir is where Docker keeps network namespaces, of pods too (cri-dockerd).
const dockerDir = "/run/docker/netns"

// hostLocalDir is where host-local, the usual IPAM plugin, keeps a file for each
// address that it gave out, in a folder for each network.
const hostLocalDir = "/var/lib/cni/networks"

// hostLocalFresh is how long such a file is believed without anything else: for as
// long as an ADD may run that has an address and no link yet. After that the pod's
// namespace tells. The files themselves outlive pods, since a runtime ends a pod by
// the configuration of now.
const hostLocalFresh = store.AddLimit

// inUse lists the addresses of blocks that somebody on this node uses, our own pods
// among them: those in the network namespaces, those that the kernel routes or hears,
// what the node's own subnets take, and those that host-local gave out just now.
func (l links) inUse(blocks []netip.Prefix) ([]netip.Addr, error) {
	out, err := l.InUse(blocks)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{namespaceDir, dockerDir} {
		found, err := attached(dir)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			out = append(out, f.Addresses...)
		}
	}
	own, err := host.Addresses()
	if err != nil {
		return nil, err
	}
	for _, p := range own {
		out = append(out, ofSubnet(p)...)
	}
	fresh, err := hostLocal(hostLocalDir, time.Now())
	return append(out, fresh...), err
}

// ofSubnet are the addresses of a subnet of the node's own that the kernel takes for
// itself: the node's; the first, which is a broadcast on kernels before 5.14, and the
// routers' anycast address for IPv6 (RFC 4291 section 2.6.1); IPv4's broadcast.
func ofSubnet(own netip.Prefix) []netip.Addr {
	out := []netip.Addr{own.Addr()}
	if own.Bits() >= own.Addr().BitLen()-1 {
		return out
	}
	out = append(out, own.Masked().Addr())
	if own.Addr().Is4() {
		out = append(out, dataplane.LastAddr(own)) // the broadcast
	}
	return out
}

// hostLocal lists the addresses that host-local gave out not long before now.
func hostLocal(dir string, now time.Time) ([]netip.Addr, error) {
	networks, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []netip.Addr
	for _, network := range networks {
		if !network.IsDir() {
			continue
		}
		files, readErr := os.ReadDir(filepath.Join(dir, network.Name()))
		if readErr != nil && !errors.Is(readErr, fs.ErrNotExist) {
			err = errors.Join(err, readErr)
		}
		for _, f := range files {
			addr, parseErr := netip.ParseAddr(f.Name())
			if parseErr != nil {
				continue // its lock, and where it goes on
			}
			info, statErr := f.Info()
			if statErr == nil && now.Sub(info.ModTime()).Abs() < hostLocalFresh {
				out = append(out, addr)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list the addresses that host-local gave out: %w", err)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}
