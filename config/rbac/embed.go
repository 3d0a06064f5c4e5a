// Package rbac holds who may do what: the namespace, the service accounts, the
// roles of least privilege, and the policy that binds each agent's token to its
// own node's NodeState.
package rbac

import "embed"

// Names that the manifests give.
const (
	// Namespace is where Fairlead runs and where its Secrets are.
	Namespace = "fairlead-system"
	// ControllerServiceAccount is the controller's identity.
	ControllerServiceAccount = "fairlead-controller"
	// AgentServiceAccount is the identity of every agent; each agent's token is
	// bound to its Node besides.
	AgentServiceAccount = "fairlead-agent"
)

// FS holds the manifests.
//
//go:embed *.yaml
var FS embed.FS
