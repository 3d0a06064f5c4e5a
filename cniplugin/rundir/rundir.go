// Package rundir names a node's run directory, and what it holds for more than one
// program. It imports nothing, so that the agent, the plugin and the CLI, none
// of which links another, can all have the names from here.
package rundir

const (
	// Default is where it is unless somebody says otherwise.
	Default = "/run/fairlead"
	// Store is the folder of the address store.
	Store = "store"
	// AgentSocket answers those who ask the agent; it is listened to while an
	// agent runs.
	AgentSocket = "agent.sock"
)
