package node

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/plan"
)

// readKeys reads the Secrets that the peers of this node name. A Secret that is
// gone ends its sessions; one that could not be read keeps its last value. It
// says whether every key is known now.
func (a *API) readKeys(ctx context.Context) (complete bool) {
	refs, err := a.keyRefs(ctx)
	if err != nil {
		a.log.Error("list keys failed", "err", err)
		return false
	}
	a.mu.Lock()
	was := maps.Clone(a.keys)
	a.mu.Unlock()

	now := map[string]string{}
	for _, ref := range refs {
		name := plan.KeyName(ref)
		value, err := a.readKey(ctx, ref)
		switch {
		case err == nil:
			delete(a.unread, name)
			if value != "" {
				now[name] = value
			}
		case !apierrors.IsNotFound(err):
			if !a.unread[name] {
				a.log.Warn("Secret not read, its last value is used", "secret", ref.Name, "err", err)
			}
			a.unread[name] = true
			if old, known := was[name]; known {
				now[name] = old
			}
		}
	}
	a.mu.Lock()
	changed := !a.keysRead || !maps.Equal(was, now)
	a.keys, a.keysRead = now, true
	a.mu.Unlock()
	if changed {
		a.wake()
	}
	return len(now) == len(refs)
}

func (a *API) readKey(ctx context.Context, ref v1alpha1.SecretKeyRef) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var s corev1.Secret
	if err := a.client.Get(ctx, client.ObjectKey{Namespace: a.namespace, Name: ref.Name}, &s); err != nil {
		return "", err
	}
	return string(s.Data[ref.Key]), nil
}

// keyRefs are the references of the peers that select this node, each once.
func (a *API) keyRefs(ctx context.Context) ([]v1alpha1.SecretKeyRef, error) {
	in, found, err := a.own.readOwn(ctx, a.node)
	if err != nil {
		return nil, err
	}
	if !found {
		a.mu.Lock()
		in.Node = a.last.Node
		a.mu.Unlock()
	}
	seen := map[v1alpha1.SecretKeyRef]bool{}
	for _, p := range in.Peers {
		selected, err := plan.Selects(p.Spec.NodeSelector, in.Node.Labels)
		if err == nil && selected && p.Spec.AuthSecretRef != nil {
			seen[*p.Spec.AuthSecretRef] = true
		}
	}
	return slices.Collect(maps.Keys(seen)), nil
}
