// Package alert holds the tests of what charts/fairlead makes for Prometheus. It is
// a module of its own: nothing else needs what Prometheus needs.
package alert
