package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	_ "k8s.io/cri-api/pkg/apis/runtime/v1" // registers the interface's messages
)

// services of the interface; a method is looked for in both.
var services = [...]protoreflect.FullName{"runtime.v1.RuntimeService", "runtime.v1.ImageService"}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("cri", flag.ContinueOnError)
	socket := flags.String("socket", "/run/containerd/containerd.sock", "the runtime's unix socket")
	bound := flags.Duration("timeout", time.Minute, "how long the call may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("want one argument, the method, such as RunPodSandbox; its request is read from standard input")
	}
	ctx, cancel := context.WithTimeout(ctx, *bound)
	defer cancel()
	method, err := find(flags.Arg(0))
	if err != nil {
		return err
	}
	text, err := io.ReadAll(stdin)
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	answer, err := call(ctx, "unix://"+*socket, method, text)
	if err != nil {
		return err
	}
	_, err = stdout.Write(append(answer, '\n'))
	return err
}

func find(name string) (protoreflect.MethodDescriptor, error) {
	for _, service := range services {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(service)
		if err != nil {
			return nil, fmt.Errorf("find service %s: %w", service, err)
		}
		if m := d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name)); m != nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("method %q: neither %s nor %s has it", name, services[0], services[1])
}

// call makes a call that is answered once; no text is an empty request.
func call(ctx context.Context, target string, method protoreflect.MethodDescriptor, text []byte) ([]byte, error) {
	request, err := message(method.Input())
	if err != nil {
		return nil, err
	}
	answer, err := message(method.Output())
	if err != nil {
		return nil, err
	}
	if len(text) > 0 {
		if err := protojson.Unmarshal(text, request); err != nil {
			return nil, fmt.Errorf("read the request: %w", err)
		}
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", target, err)
	}
	defer conn.Close()
	path := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	if err := conn.Invoke(ctx, path, request, answer); err != nil {
		return nil, fmt.Errorf("call %s at %s: %w", path, target, err)
	}
	return protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(answer)
}

func message(d protoreflect.MessageDescriptor) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, fmt.Errorf("find message %s: %w", d.FullName(), err)
	}
	return t.New().Interface(), nil
}
