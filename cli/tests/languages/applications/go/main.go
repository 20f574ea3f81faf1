// The application of the tests, with net/http.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"application/cloakroom"
)

func until(path string) {
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

type object = map[string]any

func answer(session *cloakroom.Session, r *http.Request) (any, error) {
	query := r.URL.Query()
	switch r.URL.Path {
	case "/show":
		shown, fields := object{"user": nil}, object{}
		user, err := session.User()
		if err != nil {
			return nil, err
		}
		if user != "" {
			shown["user"] = user
		}
		for _, name := range []string{"a", "b", "count", "list"} {
			var value any
			if found, err := session.Get(name, &value); err != nil {
				return nil, err
			} else if found {
				fields[name] = value
			}
		}
		shown["fields"] = fields
		return shown, nil
	case "/set":
		return object{}, session.Set(query.Get("name"), query.Get("value"))
	case "/remove":
		return object{}, session.Remove(query.Get("name"))
	case "/count", "/caught":
		count, err := session.Increment("count", 1)
		return object{"count": count}, err
	case "/append":
		list := []string{}
		err := session.Update("list", func(stored json.RawMessage) (any, error) {
			list = []string{}
			if stored != nil {
				if err := json.Unmarshal(stored, &list); err != nil {
					return nil, err
				}
			}
			list = append(list, query.Get("value"))
			return list, nil
		})
		return object{"list": list}, err
	case "/sign-in":
		return object{}, session.SignIn(query.Get("user"), nil)
	case "/rotate":
		return object{}, session.Rotate()
	case "/elevate":
		return object{}, session.Elevate()
	case "/sign-out":
		return object{}, session.SignOut()
	case "/devices":
		devices, err := session.Devices()
		shown := []object{}
		for _, device := range devices {
			shown = append(shown, object{"id": device.ID, "current": device.Current, "label": device.Label})
		}
		return object{"devices": shown}, err
	case "/sign-out-device":
		ended, err := session.SignOutDevice(query.Get("id"))
		return object{"ended": ended}, err
	case "/sign-out-others":
		ended, err := session.SignOutOthers()
		return object{"ended": ended}, err
	case "/sign-out-everywhere":
		ended, err := session.SignOutEverywhere()
		return object{"ended": ended}, err
	case "/slow":
		if _, err := session.ID(); err != nil {
			return nil, err
		}
		if err := os.WriteFile(query.Get("gate")+".read", nil, 0o600); err != nil {
			return nil, err
		}
		until(query.Get("gate"))
		return object{}, session.Set("a", "late")
	case "/cached":
		return object{}, session.Set("a", "cached")
	case "/fail":
		return object{}, session.Set("a", "half")
	}
	return nil, errors.New("there is no such path")
}

func serve(w http.ResponseWriter, r *http.Request) {
	session := cloakroom.From(r)
	switch r.URL.Path {
	case "/":
		fmt.Fprint(w, "hello")
		return
	case "/stream":
		if err := session.Set("a", "streamed"); err != nil {
			cloakroom.Fail(w, err)
			return
		}
		fmt.Fprint(w, "one\n")
		w.(http.Flusher).Flush()
		until(r.URL.Query().Get("gate"))
		fmt.Fprint(w, "two\n")
		return
	}
	value, err := answer(session, r)
	var known *cloakroom.Error
	if r.URL.Path == "/caught" && errors.As(err, &known) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(known.Status())
		_ = json.NewEncoder(w).Encode(object{"caught": known.Code})
		return
	}
	if err != nil {
		cloakroom.Fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/cached" {
		w.Header().Set("Cache-Control", "public, max-age=60")
	}
	if r.URL.Path == "/fail" {
		w.WriteHeader(http.StatusInternalServerError)
	}
	_ = json.NewEncoder(w).Encode(value)
}

func main() {
	client := &cloakroom.Client{URL: os.Getenv("SERVICE"), Key: os.Getenv("KEY"), Insecure: true}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("http://%s/\n", listener.Addr())
	panic(http.Serve(listener, client.Wrap(http.HandlerFunc(serve))))
}
