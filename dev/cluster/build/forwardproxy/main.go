// A forward proxy with a password, for tests: elazarl/goproxy with rules from flags. It prints its
// address when it listens.
package main

import (
	"crypto/subtle"
	"encoding/base64"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/elazarl/goproxy"
)

// A flag that can be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on")
	user := flag.String("user", "", "the USER:PASSWORD that clients must give; by default, none")
	var leads, denied list
	flag.Var(&leads, "lead", "HOST:PORT=ADDRESS: what a host's name leads to, as in DNS")
	flag.Var(&denied, "deny", "a HOST:PORT that is forbidden")
	flag.Parse()

	proxy := goproxy.NewProxyHttpServer()
	proxy.OnRequest().HandleConnectFunc(func(host string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		if *user != "" && !gives(ctx.Req, *user) {
			ctx.Resp = answer(ctx.Req, http.StatusProxyAuthRequired)
			ctx.Resp.Header.Set("Proxy-Authenticate", `Basic realm="corp"`)
			return goproxy.RejectConnect, host
		}
		for _, d := range denied {
			if host == d {
				ctx.Resp = answer(ctx.Req, http.StatusForbidden)
				return goproxy.RejectConnect, host
			}
		}
		for _, l := range leads {
			if name, address, _ := strings.Cut(l, "="); host == name {
				return goproxy.OkConnect, address
			}
		}
		return goproxy.OkConnect, host
	})
	// Only tunnels.
	proxy.OnRequest().DoFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
		return r, answer(r, http.StatusMethodNotAllowed)
	})

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, proxy))
}

func gives(r *http.Request, user string) bool {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user))
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Proxy-Authorization")), []byte(want)) == 1
}

func answer(r *http.Request, status int) *http.Response {
	return goproxy.NewResponse(r, goproxy.ContentTypeText, status, http.StatusText(status)+"\n")
}
