package cniplugin

import (
	"errors"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
)

// Codes of our own start at 100 (CNI specification 1.1.0, section 5, Error).
const (
	// codeExists: the interface or the attachment is there already. DEL, then ADD again.
	codeExists uint = 100
	// codeCheck: CHECK found the pod's network not as ADD left it.
	codeCheck uint = 101
)

// errCheck is what CHECK found.
var errCheck = errors.New("check failed")

// hints says for each error that a person may meet its code and what to do.
var hints = []struct {
	is   error
	code uint
	do   string
}{
	{errConf, types.ErrInvalidNetworkConfig, "correct the CNI configuration of this node"},
	{errCheck, codeCheck, "restart the pod; what is missing was taken away after the pod started"},
	{link.ErrOwnNamespace, types.ErrInvalidEnvironmentVariables, "CNI_NETNS must be the pod's namespace, not the node's"},
	{link.ErrNoNamespace, types.ErrInvalidEnvironmentVariables, "CNI_NETNS must be the path of a network namespace that exists"},
	{link.ErrPodLinkExists, codeExists, "choose another CNI_IFNAME, or run DEL first"},
	{link.ErrPodRouted, codeExists, "Fairlead makes the pod's default route; it cannot add a second network to a pod that has one"},
	{link.ErrHostLinkExists, codeExists, "run DEL for this container first"},
	{store.ErrHeld, codeExists, "run DEL for this container first"},
	{link.ErrRouted, types.ErrTryAgainLater, "the next attempt takes another address; see what routes to it with: ip route get"},
	{store.ErrNotReady, types.ErrTryAgainLater, "the fairlead-agent of this node creates it when it starts: see the agent's pod"},
	{store.ErrCorrupt, types.ErrTryAgainLater, "restart the fairlead-agent of this node: it keeps the file aside and rebuilds the store from the kernel"},
	{store.ErrBusy, types.ErrTryAgainLater, "a stopped or hanging process holds the lock: see which with: fuser"},
	{unix.EMFILE, types.ErrIOFailure, "raise the limit of open files of the container runtime"},
	{unix.ENFILE, types.ErrIOFailure, "raise the machine's limit of open files: sysctl fs.file-max"},
	{store.ErrIO, types.ErrIOFailure, "make room for the file system of the store, or mount it writable"},
	{store.ErrNoLease, types.ErrTryAgainLater, "see that an Active IPPool selects this node: kubectl get ippools,ipblocks"},
	{store.ErrExhausted, types.ErrTryAgainLater, "pods that end free addresses; for more, let the IPPool lease this node another block"},
	{errTooSlow, types.ErrTryAgainLater, "the node is overloaded or was suspended"},
}

// cniError gives an error its code. One that is a CNI error already stays as it is.
func cniError(err error) *types.Error {
	var coded *types.Error
	if errors.As(err, &coded) {
		return coded
	}
	for _, h := range hints {
		if errors.Is(err, h.is) {
			return types.NewError(h.code, err.Error(), h.do)
		}
	}
	return types.NewError(types.ErrInternal, err.Error(), "")
}
