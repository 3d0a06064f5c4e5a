package cniplugin

import (
	"errors"
	"io"

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
	// codeNotHere: the address that was asked for is not this node's to give.
	codeNotHere uint = 102
)

// errCheck is what CHECK found.
var errCheck = errors.New("check failed")

// hint says for an error that a person may meet its code and what to do.
type hint struct {
	is   error
	code uint
	do   string
}

// hints are all of them. Of several that an error is, the first counts. They are
// made when there is an error, not when each process starts.
func hints() []hint {
	return []hint{
		{errEnv, types.ErrInvalidEnvironmentVariables, "the container runtime sets these variables: see its log for the call"},
		{errInput, types.ErrIOFailure, "the container runtime writes the configuration to standard input: see its log"},
		{errDecode, types.ErrDecodingFailure, "correct the JSON of the CNI configuration of this node"},
		{errVersion, types.ErrIncompatibleCNIVersion, "set cniVersion or cniVersions of the CNI configuration to a version that is served"},
		{errField, types.ErrUnsupportedField, "remove the key from the CNI configuration of this node, or correct its spelling"},
		{errConf, types.ErrInvalidNetworkConfig, "correct the CNI configuration of this node, or what the pod asks for in it"},
		{errCheck, codeCheck, "restart the pod; what is missing was taken away after the pod started"},
		{link.ErrOwnNamespace, types.ErrInvalidEnvironmentVariables, "CNI_NETNS must be the pod's namespace, not the node's"},
		{link.ErrNoNamespace, types.ErrInvalidEnvironmentVariables, "CNI_NETNS must be the path of a network namespace that exists"},
		{store.ErrNoNamespace, types.ErrInvalidEnvironmentVariables, "CNI_NETNS must be the path of a network namespace that exists"},
		{link.ErrPodLinkExists, codeExists, "choose another CNI_IFNAME, or run DEL first"},
		{link.ErrPodRouted, codeExists, "Fairlead makes the pod's default route; it cannot add a second network to a pod that has one"},
		{link.ErrHostLinkExists, codeExists, "run DEL for this container first"},
		{store.ErrHeld, codeExists, "run DEL for this container first"},
		{store.ErrNotHere, codeNotHere, "ask for an address of a block that the message names, or let the pod run on the node that has the address's block: kubectl get ipblocks"},
		{store.ErrTaken, types.ErrTryAgainLater, "the address is free when who has it ends"},
		{link.ErrRouted, types.ErrTryAgainLater, "the next attempt takes another address; see what routes to it with: ip route get"},
		{store.ErrNotReady, types.ErrTryAgainLater, "the fairlead-agent of this node creates it when it starts: see the agent's pod"},
		{store.ErrNewer, types.ErrTryAgainLater, "a newer fairlead-agent wrote it: install the plugin of the same version, or start the agent of this one, which keeps the file aside and rebuilds the store"},
		{store.ErrCorrupt, types.ErrTryAgainLater, "restart the fairlead-agent of this node: it keeps the file aside and rebuilds the store from the kernel"},
		{store.ErrBusy, types.ErrTryAgainLater, "a stopped or hanging process holds the lock: see which with: fuser"},
		{unix.EMFILE, types.ErrIOFailure, "raise the limit of open files of the container runtime"},
		{unix.ENFILE, types.ErrIOFailure, "raise the machine's limit of open files: sysctl fs.file-max"},
		{store.ErrIO, types.ErrIOFailure, "make room for the file system of the store, or mount it writable"},
		{store.ErrNoLease, types.ErrTryAgainLater, "see that an Active IPPool with advertise true selects this node: kubectl get ippools,ipblocks"},
		{store.ErrExhausted, types.ErrTryAgainLater, "pods that end free addresses, and the agent asks for another block by itself: why none comes, say the IPPool's conditions Limited and Exhausted, or: fairlead blocks"},
		{errTooSlow, types.ErrTryAgainLater, "the node is overloaded or was suspended"},
		{errOutput, types.ErrIOFailure, "the container runtime closed the plugin's standard output: see its log; nothing is left of the attachment"},
	}
}

// cniError gives an error its code. One that is a CNI error already stays as it is.
func cniError(err error) *types.Error {
	var coded *types.Error
	if errors.As(err, &coded) {
		return coded
	}
	for _, h := range hints() {
		if errors.Is(err, h.is) {
			return types.NewError(h.code, err.Error(), h.do)
		}
	}
	return types.NewError(types.ErrInternal, err.Error(), "this is not foreseen: see the log of the container runtime, and please report it")
}

// printError prints the error structure of the specification, which says the
// version in use: that of the configuration, as far as it was read.
func printError(stdout io.Writer, version string, err error) error {
	if version == "" {
		version = currentVersion
	}
	e := cniError(err)
	return printJSON(stdout, struct {
		CNIVersion string `json:"cniVersion"`
		Code       uint   `json:"code"`
		Msg        string `json:"msg"`
		Details    string `json:"details,omitempty"`
	}{version, e.Code, e.Msg, e.Details})
}

// noStore says that there is no store to free addresses in: none yet, or one
// that the agent has to rebuild, which it does from the pods still wired.
func noStore(err error) bool {
	return errors.Is(err, store.ErrNotReady) || errors.Is(err, store.ErrCorrupt)
}
