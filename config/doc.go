// Package config holds the settings of Fairlead's processes: what differs from
// process to process on one machine (paths, addresses, intervals). What concerns
// the whole cluster is a custom resource, never a setting.
//
// A setting is defined once, as a flag of Controller.Bind or Agent.Bind; the
// names of its file key and environment variable follow from the flag's:
// node-grace-period, nodeGracePeriod, FAIRLEAD_NODE_GRACE_PERIOD. A flag wins
// over the environment, the environment over the file, the file over the default.
package config
