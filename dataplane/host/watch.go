package host

import (
	"context"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// Watch tells that a link that is no pod's is new or has become another: its name,
// its MTU, or that it is set up. Its sysctls may be the kernel's defaults then, and
// Prepare is to be called. (The kernel makes those of IPv6 anew also when an MTU has
// been below 1280.) The channel is that of nl.Monitor.Notices, in the network
// namespace of the thread that calls.
func Watch(ctx context.Context) (<-chan struct{}, error) {
	m, err := nl.Subscribe(unix.RTNLGRP_LINK)
	if err != nil {
		return nil, err
	}
	return m.Notices(ctx, sightings{}.isNew), nil
}

// sighting is what of a link tells that its sysctls may be others.
type sighting struct {
	name string
	mtu  uint32
	up   bool
}

// sightings are the links, by index.
type sightings map[uint32]sighting

// isNew notes a link's event and says whether it is news. What cannot be read is.
func (s sightings) isNew(e nl.Event) bool {
	d, err := nl.ParseDevice(e.Body)
	switch {
	case err != nil:
		return true
	case e.Type == unix.RTM_DELLINK:
		delete(s, d.Index)
		return false
	case e.Type != unix.RTM_NEWLINK || dataplane.IsPodLink(d.Name) || d.Name == dataplane.OverlayLink:
		return false
	}
	is := sighting{d.Name, d.MTU, d.Up}
	was, known := s[d.Index]
	s[d.Index] = is
	return !known || is != was
}
