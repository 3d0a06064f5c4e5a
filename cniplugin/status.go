package cniplugin

import (
	"fmt"

	"github.com/containernetworking/cni/pkg/types"

	"fairlead.dev/cniplugin/store"
)

// status implements STATUS. A runtime makes the node NotReady on its failure,
// so it fails only where no ADD can succeed whatever pods end: without a usable
// store, or without any lease. A full block is ADD's to report; a dead agent or
// a lost router is nobody's here (docs/design/0011).
func (p plugin) status(r request) error {
	c, err := parseConf(r.config)
	if err != nil {
		return err
	}
	return c.available(store.KindPod, c.Pools)
}

// available says whether there is a store, and in it a block that an attachment
// of that kind may get addresses of.
func (c *place) available(kind store.Kind, pools []string) error {
	s, err := c.openStore()
	if err != nil {
		return unavailable(err)
	}
	state, err := s.Read()
	if err != nil {
		return unavailable(err)
	}
	if !state.Serves(kind, pools) {
		what := "no address block"
		if len(pools) > 0 {
			what = fmt.Sprintf("no address block of pools %q", pools)
		}
		return types.NewError(types.ErrPluginNotAvailable, what+" is leased to this node",
			"see that an Active IPPool selects this node: kubectl get ippools,ipblocks")
	}
	return nil
}

// unavailable keeps the words of an error and takes STATUS's code.
func unavailable(err error) error {
	e := cniError(err)
	return types.NewError(types.ErrPluginNotAvailable, e.Msg, e.Details)
}
