// Package cloakroom gives net/http applications the sessions of the Cloakroom session service. Copy this file; its README
// shows how to use it.
//
// Copyright (c) 2026 The Cloakroom developers. SPDX-License-Identifier: MIT OR Apache-2.0
package cloakroom

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Error says why a session was not read or changed. Code is the service's; an application answers with Status.
type Error struct{ Code, Detail string }

func (e *Error) Error() string { return e.Code + ": " + e.Detail }

var statuses = map[string]int{"gone": 401, "signed-out": 401, "cross-site": 403, "conflict": 409, "limit": 409,
	"changed": 409, "too-large": 413, "invalid": 500}

// Status returns the status of an answer with this error. It is 503 if the service does not answer.
func (e *Error) Status() int {
	if status, known := statuses[e.Code]; known {
		return status
	}
	return http.StatusServiceUnavailable
}

// Fail answers a request whose session could not be read or changed.
func Fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var known *Error
	if errors.As(err, &known) {
		status = known.Status()
	}
	http.Error(w, http.StatusText(status), status)
}

// Client asks the service.
type Client struct {
	URL            string        // http://127.0.0.1:8090 or unix:/run/cloakroom/cloakroom.sock
	Key            string        // the API key
	Timeout        time.Duration // of one question; 2 seconds if it is 0
	Insecure       bool          // the application is at http:// and not at https://
	TrustedOrigins []string      // other sites whose requests are allowed, such as https://pay.example
	http           http.Client
	base           string
}

type contextKey struct{}

// From returns the session of a request that came through Wrap.
func From(r *http.Request) *Session { return r.Context().Value(contextKey{}).(*Session) }

// Wrap gives each request of a handler its session, and saves it before the head of the response leaves.
func (c *Client) Wrap(next http.Handler) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.MaxIdleConnsPerHost, transport.IdleConnTimeout = nil, 64, time.Minute
	c.base = strings.TrimSuffix(c.URL, "/")
	if path := strings.TrimPrefix(c.URL, "unix:"); path != c.URL {
		c.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(path, "//"))
		}
	}
	if c.http = (http.Client{Transport: transport, Timeout: c.Timeout}); c.Timeout == 0 {
		c.http.Timeout = 2 * time.Second
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.isCrossSite(r) {
			Fail(w, &Error{Code: "cross-site"})
			return
		}
		session := &Session{client: c, cookie: strings.Join(r.Header["Cookie"], "; "), agent: r.UserAgent()}
		held := &responseWriter{ResponseWriter: w, session: session}
		next.ServeHTTP(held, r.WithContext(context.WithValue(r.Context(), contextKey{}, session)))
		if !held.begun {
			held.WriteHeader(http.StatusOK)
		}
	})
}

var websocket = regexp.MustCompile(`(?i)(^|,)\s*websocket\s*(,|/|$)`)

// isCrossSite judges as the library does: a request that changes something, or opens a WebSocket, must come from this site.
func (c *Client) isCrossSite(r *http.Request) bool {
	header := func(name string) string { return strings.Join(r.Header.Values(name), ",") }
	switch r.Method {
	case "GET", "HEAD", "OPTIONS":
		if !websocket.MatchString(header("Upgrade")) {
			return false
		}
	}
	origin, site := header("Origin"), header("Sec-Fetch-Site")
	for _, trusted := range c.TrustedOrigins {
		if origin == trusted {
			return false
		}
	}
	if site != "" {
		return site != "same-origin" && site != "none"
	}
	scheme, port := "https://", ":443"
	if c.Insecure {
		scheme, port = "http://", ":80"
	}
	own := scheme + strings.TrimSuffix(r.Host, port)
	return origin != "" && (r.Host == "" || !strings.EqualFold(strings.TrimSuffix(origin, port), own))
}

// Session is the session of a request. It is read when it is first used, and may be used by several goroutines.
type Session struct {
	client        *Client
	cookie, agent string
	turn          sync.Mutex
	shown         *shown
	changes       map[string]any // nil removes
	cookies       []string
	hasLeft       bool
}

type shown struct {
	State  string                     `json:"state"`
	ID     *string                    `json:"id"`
	User   string                     `json:"user"`
	Fields map[string]json.RawMessage `json:"fields"`
}

// Device is one of the sessions of a user.
type Device struct {
	ID, Label, IP string
	Current       bool
	CreatedAt     time.Time `json:"created_at"`
	SignedInAt    time.Time `json:"signed_in_at"`
	LastSeenAt    time.Time `json:"last_seen_at"`
	ExpiresAt     time.Time `json:"expires_at"`
}

// User returns who is signed in, or "".
func (s *Session) User() (user string, err error) {
	err = s.inTurn(func() error { user = s.shown.User; return nil })
	return user, err
}

// ID returns the public id of the session, or "" if there is none.
func (s *Session) ID() (id string, err error) {
	err = s.inTurn(func() error {
		if s.shown.ID != nil {
			id = *s.shown.ID
		}
		return nil
	})
	return id, err
}

// Get reads a field into a pointer, and returns false if it does not exist.
func (s *Session) Get(name string, into any) (found bool, err error) {
	err = s.inTurn(func() error {
		raw := s.shown.Fields[name]
		if value, changed := s.changes[name]; changed {
			raw = nil
			if value != nil {
				raw, _ = json.Marshal(value)
			}
		}
		if found = raw != nil; found {
			return json.Unmarshal(raw, into)
		}
		return nil
	})
	return found, err
}

// Set changes a field when the response begins. A nil removes it.
func (s *Session) Set(name string, value any) error {
	if _, err := json.Marshal(value); err != nil {
		return err
	}
	return s.inTurn(func() error {
		if s.hasLeft {
			return errors.New("the head of the response has left: call Set earlier")
		}
		if s.changes == nil {
			s.changes = map[string]any{}
		}
		s.changes[name] = value
		return nil
	})
}

// Remove removes a field when the response begins.
func (s *Session) Remove(name string) error { return s.Set(name, nil) }

// Save makes the changes of Set and Remove now.
func (s *Session) Save() error { return s.saved(func() error { return nil }) }

// Increment adds to a counter now, and returns what it is then.
func (s *Session) Increment(name string, by int64) (value int64, err error) {
	err = s.saved(func() error {
		if err := s.patch(map[string]any{"increment": map[string]int64{name: by}}); err != nil {
			return err
		}
		return json.Unmarshal(s.shown.Fields[name], &value)
	})
	return value, err
}

// Update stores what change makes of a field (nil if it does not exist) now. If another request was faster, it begins anew.
func (s *Session) Update(name string, change func(json.RawMessage) (any, error)) error {
	return s.saved(func() error {
		for attempt := 1; ; attempt++ {
			before := s.shown.Fields[name]
			after, err := change(before)
			if err != nil {
				return err
			}
			err = s.patch(map[string]any{"set": map[string]any{name: after}, "expect": map[string]json.RawMessage{name: before}})
			var known *Error
			if attempt == 20 || !errors.As(err, &known) || known.Code != "changed" {
				return err
			}
			if err := s.ask("GET", "?fresh=true", nil, "", nil); err != nil {
				return err
			}
		}
	})
}

// SignIn signs a user in, with the options of the API (or nil). An answer that was lost is asked for once more.
func (s *Session) SignIn(user string, options map[string]any) error {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	body := map[string]any{"user": user}
	for name, value := range options {
		body[name] = value
	}
	return s.saved(func() error {
		err := s.ask("POST", "/sign-in", body, hex.EncodeToString(random), nil)
		var known *Error
		if errors.As(err, &known) && (known.Code == "no-answer" || known.Code == "unknown-outcome") {
			err = s.ask("POST", "/sign-in", body, hex.EncodeToString(random), nil)
		}
		return err
	})
}

// Rotate gives the session a new token. The old one stays valid for a moment.
func (s *Session) Rotate() error {
	return s.saved(func() error { return s.ask("POST", "/rotate", nil, "", nil) })
}

// Elevate gives the session a new token at a change of privilege. The old one ends immediately.
func (s *Session) Elevate() error {
	return s.saved(func() error { return s.ask("POST", "/elevate", nil, "", nil) })
}

// Devices lists the sessions of the user.
func (s *Session) Devices() ([]Device, error) {
	var answer struct{ Devices []Device }
	err := s.inTurn(func() error { return s.ask("GET", "/devices", nil, "", &answer) })
	return answer.Devices, err
}

// SignOut ends the session.
func (s *Session) SignOut() error {
	_, err := s.end("DELETE", "", nil, true)
	return err
}

// SignOutDevice ends one of the user's sessions, and returns how many were ended: 1 or 0.
func (s *Session) SignOutDevice(id string) (int, error) {
	own, err := s.ID()
	if err != nil {
		return 0, err
	}
	return s.end("DELETE", "/devices/"+url.PathEscape(id), nil, id == own)
}

// SignOutOthers ends all sessions of the user but this one.
func (s *Session) SignOutOthers() (int, error) {
	return s.end("POST", "/sign-out", map[string]string{"scope": "others"}, false)
}

// SignOutEverywhere ends all sessions of the user.
func (s *Session) SignOutEverywhere() (int, error) {
	return s.end("POST", "/sign-out", map[string]string{"scope": "everywhere"}, true)
}

func (s *Session) end(method, path string, body any, endsThis bool) (int, error) {
	var answer struct{ Ended int }
	err := s.inTurn(func() error {
		if err := s.ask(method, path, body, "", &answer); err != nil || !endsThis {
			return err
		}
		s.shown, s.changes = &shown{}, nil
		return nil
	})
	return answer.Ended, err
}

// inTurn does one thing after the other: the next question needs the cookie that the last one was given.
func (s *Session) inTurn(work func() error) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.shown == nil {
		if s.cookie == "" {
			s.shown = &shown{}
		} else if err := s.ask("GET", "", nil, "", nil); err != nil {
			return err
		}
	}
	return work()
}

func (s *Session) saved(work func() error) error {
	return s.inTurn(func() error {
		if err := s.save(); err != nil {
			return err
		}
		return work()
	})
}

func (s *Session) save() error {
	if len(s.changes) == 0 {
		return nil
	}
	set, remove := map[string]any{}, []string{}
	for name, value := range s.changes {
		if value == nil {
			remove = append(remove, name)
		} else {
			set[name] = value
		}
	}
	err := s.patch(map[string]any{"set": set, "remove": remove})
	if err == nil {
		s.changes = nil
	}
	return err
}

// patch names the session that was read: a late change must not bring back one that has ended.
func (s *Session) patch(changes map[string]any) error {
	changes["session"] = s.shown.ID
	return s.ask("PATCH", "", changes, "", nil)
}

func (s *Session) ask(method, path string, body any, idempotencyKey string, into any) error {
	data := []byte{}
	if body != nil {
		data, _ = json.Marshal(body)
	}
	request, err := http.NewRequest(method, s.client.base+"/v1/session"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	headers := map[string]string{"Cookie": s.cookie, "User-Agent": s.agent, "Idempotency-Key": idempotencyKey}
	if body != nil {
		headers["Content-Type"] = "application/json"
	}
	if s.client.Key != "" {
		headers["Authorization"] = "Bearer " + s.client.Key
	}
	for name, value := range headers {
		if value != "" || name == "User-Agent" {
			request.Header.Set(name, value)
		}
	}
	response, err := s.client.http.Do(request)
	if err != nil {
		return &Error{"no-answer", "the session service does not answer: " + err.Error()}
	}
	defer response.Body.Close()
	for _, cookie := range response.Header["Set-Cookie"] {
		s.keep(cookie)
	}
	if response.StatusCode == http.StatusNoContent {
		return nil
	}
	var answer json.RawMessage
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return &Error{"no-answer", "the answer of the session service was cut off"}
	}
	if response.StatusCode >= 400 {
		problem := &Error{}
		_ = json.Unmarshal(answer, problem)
		return problem
	}
	if into != nil {
		return json.Unmarshal(answer, into)
	}
	if now := new(shown); json.Unmarshal(answer, now) == nil && now.State != "" {
		s.shown = now
	}
	return nil
}

var removed = regexp.MustCompile(`(?i);\s*max-age=0\b`)

// keep keeps a cookie for the browser, and for the next question of this request.
func (s *Session) keep(cookie string) {
	pair, _, _ := strings.Cut(cookie, ";")
	name, _, _ := strings.Cut(pair, "=")
	pairs := []string{}
	for _, other := range strings.Split(s.cookie, ";") {
		if other = strings.TrimSpace(other); other != "" && !strings.HasPrefix(other, name+"=") {
			pairs = append(pairs, other)
		}
	}
	if !removed.MatchString(cookie) {
		pairs = append(pairs, pair)
	}
	s.cookie = strings.Join(pairs, "; ")
	cookies := []string{cookie}
	for _, other := range s.cookies {
		if !strings.HasPrefix(other, name+"=") {
			cookies = append(cookies, other)
		}
	}
	s.cookies = cookies
}

type responseWriter struct {
	http.ResponseWriter
	session        *Session
	begun, refused bool
}

// begin saves the session and adds its cookies to the head.
func (w *responseWriter) begin(status int) error {
	w.begun = true
	w.session.turn.Lock()
	defer w.session.turn.Unlock()
	var err error
	if status < 500 && status != http.StatusRequestTimeout {
		err = w.session.save()
	}
	w.session.hasLeft = true
	if w.session.shown != nil {
		w.Header().Add("Vary", "Cookie")
	}
	for _, cookie := range w.session.cookies {
		w.Header().Add("Set-Cookie", cookie)
		w.Header().Set("Cache-Control", "no-store")
	}
	return err
}

func (w *responseWriter) WriteHeader(status int) {
	if w.begun || status < 200 && status != http.StatusSwitchingProtocols {
		if !w.refused {
			w.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if err := w.begin(status); err != nil {
		w.refused = true
		for _, name := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Location"} {
			w.Header().Del(name)
		}
		Fail(w.ResponseWriter, err)
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseWriter) Write(data []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.refused {
		return 0, errors.New("the session could not be saved")
	}
	return w.ResponseWriter.Write(data)
}

func (w *responseWriter) Flush() {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if flusher, can := w.ResponseWriter.(http.Flusher); can {
		flusher.Flush()
	}
}

func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hijacker, can := w.ResponseWriter.(http.Hijacker)
	if !can {
		return nil, nil, errors.New("this connection cannot be hijacked")
	}
	if err := w.begin(http.StatusSwitchingProtocols); err != nil {
		return nil, nil, err
	}
	return hijacker.Hijack()
}

// Unwrap is for http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
