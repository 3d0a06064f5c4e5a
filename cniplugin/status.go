package cniplugin

import (
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

// status implements STATUS. A runtime makes the node NotReady on its failure,
// so it fails only where no ADD can succeed whatever pods end: without a usable
// store, or without any lease. A full block is ADD's to report; a dead agent or
// a lost router is nobody's here.
func (p plugin) status(args *skel.CmdArgs) error {
	c, err := parseConf(args.StdinData)
	if err != nil {
		return err
	}
	s, err := c.openStore()
	if err != nil {
		return unavailable(err)
	}
	state, err := s.Read()
	if err != nil {
		return unavailable(err)
	}
	if len(state.Leases) == 0 {
		return types.NewError(types.ErrPluginNotAvailable, "no address block is leased to this node",
			"see that an Active IPPool selects this node: kubectl get ippools,ipblocks")
	}
	return nil
}

// unavailable keeps the words of an error and takes STATUS's code.
func unavailable(err error) error {
	e := cniError(err)
	return types.NewError(types.ErrPluginNotAvailable, e.Msg, e.Details)
}
