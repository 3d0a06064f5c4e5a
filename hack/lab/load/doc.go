// Package load asks an HTTP server in a lab a constant number of times a second,
// and counts what was answered. A request that fails is a user's request that
// failed: none is tried again.
package load
