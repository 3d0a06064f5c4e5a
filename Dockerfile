# The same content as "make image", which needs no Docker; hack/image compares them.
# With an SBOM: docker buildx build --sbom=true --platform linux/amd64,linux/arm64 .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=linux GOARCH=$TARGETARCH go build -trimpath -buildvcs=auto -ldflags '-s -w -buildid=' -o /bin-out/ \
    ./cmd/fairlead ./cmd/fairlead-agent ./cmd/fairlead-cni ./cmd/fairlead-controller
RUN GOARCH=$TARGETARCH hack/plugins/build.sh /bin-out

FROM scratch
ARG VERSION=dev
COPY --from=build /bin-out/ /bin/
ENV PATH=/bin
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/bin/fairlead"]
LABEL org.opencontainers.image.title="fairlead" \
      org.opencontainers.image.description="BGP routing control plane for Kubernetes" \
      org.opencontainers.image.url="https://fairlead.dev" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0"
