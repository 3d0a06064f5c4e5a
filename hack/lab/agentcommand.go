package lab

// AgentCommand is the command line of the node's agent, for who runs it elsewhere
// than in the node's namespace: in a machine with a file system of its own.
func (n *Node) AgentCommand() []string {
	return append([]string{n.lab.program(programAgent)}, n.settings()...)
}
