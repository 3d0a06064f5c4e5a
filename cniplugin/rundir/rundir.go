// Package rundir names what a node's run directory holds for more than one
// program. It imports nothing, so that the agent, the plugin and the CLI, none
// of which links another, can all have the names from here.
package rundir

const (
	// Store is the folder of the address store.
	Store = "store"
	// AgentSocket answers those who ask the agent; it is listened to while an
	// agent runs.
	AgentSocket = "agent.sock"
)
