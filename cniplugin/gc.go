package cniplugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
)

// gc implements GC: what this network's attachments hold that the runtime no
// longer knows is unwired and freed. One that fails does not stop the others.
// The runtime runs no ADD or DEL beside it (CNI specification, section 3).
func (p plugin) gc(r request) error {
	c, err := parsePlace(r.config)
	if err != nil {
		return err
	}
	stale, err := r.stale(c, store.KindPod)
	if noStore(err) {
		return nil // nothing is held
	}
	if err != nil {
		return err
	}
	return release(c, stale)
}

// stale lists what the network holds that the runtime no longer knows.
func (r request) stale(c place, kind store.Kind) ([]store.Allocation, error) {
	valid, err := r.validAttachments()
	if errors.Is(err, errNoList) {
		return nil, nil // cnitool gives none, and has the library call DEL for all that it knows
	}
	if err != nil {
		return nil, err
	}
	s, err := c.openStore()
	if err != nil {
		return nil, err
	}
	state, err := s.Read()
	if err != nil {
		return nil, err
	}
	for i := range valid {
		valid[i].Kind = kind
	}
	return state.Stale(kind, r.name, valid), nil
}

// errNoList is a GC that does not say what is valid.
var errNoList = errors.New("the list of attachments that are valid is missing")

// validAttachments are those that the runtime knows. A list that is not there or
// that cannot be understood says of no attachment that it is gone; one that is
// null says it of all, which is how the CNI library writes an empty one.
func (r request) validAttachments() ([]store.Attachment, error) {
	const key, oldKey = "cni.dev/valid-attachments", "cni.dev/attachments" // libcni writes both
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(r.config, &keys); err != nil {
		return nil, fmt.Errorf("%w: %w", errDecode, err)
	}
	raw, there := keys[key]
	if !there {
		raw, there = keys[oldKey]
	}
	if !there {
		return nil, fmt.Errorf("%w: %w", errConf, errNoList)
	}
	var listed []types.GCAttachment
	if err := json.Unmarshal(raw, &listed); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errDecode, key, err)
	}
	valid := make([]store.Attachment, 0, len(listed))
	for i, a := range listed {
		if a.ContainerID == "" || a.IfName == "" {
			return nil, fmt.Errorf("%w: %s[%d] must have containerID and ifname", errConf, key, i)
		}
		valid = append(valid, request{containerID: a.ContainerID, ifName: a.IfName}.attachment())
	}
	return valid, nil
}

// release unwires and frees allocations in DEL's order. It takes the store's lock
// even for none: what a killed ADD left of a file goes with that.
func release(c place, stale []store.Allocation) error {
	node, err := link.Dial()
	if err != nil {
		return err
	}
	defer node.Close()
	var gone []store.Attachment
	var errs []error
	for _, held := range stale {
		if err := node.Unwire(held.HostVeth); err != nil {
			errs = append(errs, fmt.Errorf("container %s, interface %s: %w", held.ContainerID, held.IfName, err))
			continue
		}
		gone = append(gone, attachmentOf(held))
	}
	return errors.Join(append(errs, freeStale(c, gone))...)
}

func attachmentOf(held store.Allocation) store.Attachment {
	return store.Attachment{Kind: held.Kind, ContainerID: held.ContainerID, IfName: held.IfName, HostVeth: held.HostVeth}
}

func freeStale(c place, gone []store.Attachment) error {
	err := free(c, gone...)
	if err == nil || len(gone) == 0 {
		return err
	}
	names := make([]string, len(gone))
	for i, a := range gone {
		names[i] = a.ContainerID + " " + a.IfName
	}
	return fmt.Errorf("free the addresses of %s: %w", strings.Join(names, ", "), err)
}
