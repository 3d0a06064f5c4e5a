// Package chart holds the tests of charts/fairlead: that it is made from the
// same manifests and settings as everything else, and that a real API server
// takes what it renders.
package chart
