package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/config"
	"fairlead.dev/controller/node"
)

// apiServer is the way to the API server. Nothing of it needs the server to be up.
type apiServer struct {
	config    *rest.Config
	scheme    *runtime.Scheme
	client    client.Client
	addresses []netip.Addr
}

func connect(cfg config.Agent) (apiServer, error) {
	rc, err := clientcmd.BuildConfigFromFlags("", cfg.Kubeconfig)
	if err != nil {
		return apiServer{}, fmt.Errorf("setting kubeconfig: %w", err)
	}
	rc.UserAgent = name
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return apiServer{}, err
		}
	}
	c, err := client.New(rc, client.Options{Scheme: scheme, Mapper: node.Mapper()})
	if err != nil {
		return apiServer{}, fmt.Errorf("make an API client: %w", err)
	}
	return apiServer{config: rc, scheme: scheme, client: c, addresses: addressesOf(rc.Host)}, nil
}

// addressesOf the API server, for the refusal of routes that cover them. A name
// that does not resolve now has none: routes are then only checked against the pools.
func addressesOf(host string) []netip.Addr {
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		host = u.Hostname()
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	found, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found
}
