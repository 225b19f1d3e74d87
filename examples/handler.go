// A handler in one file, with Go's standard library alone: checks the signature, drops repeats, reads the event.
//
//	FEEDBACK_LOOP_SECRET=whsec_… go run handler.go 9000
//
// The loop's URL is then http://127.0.0.1:9000/. Put its verification file beside this file, and run it there.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

var (
	key, _   = base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("FEEDBACK_LOOP_SECRET"), "whsec_"))
	fileName = regexp.MustCompile(`^feedback-loops-[0-9a-f]+\.txt$`)
	// The same event may come twice, with the same id. Of a real handler: a table with a unique column.
	seen sync.Map
)

// Standard Webhooks 1.0: HMAC-SHA256 over id, time and body; several signatures while a secret rotates.
func signatureIsGood(header http.Header, body []byte) bool {
	timestamp := header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	// An old POST may be one that somebody recorded and sends again.
	if age := time.Since(time.Unix(seconds, 0)); err != nil || age.Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", header.Get("webhook-id"), timestamp, body)
	expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, given := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(expected), []byte(given)) {
			return true
		}
	}
	return false
}

func handle(w http.ResponseWriter, r *http.Request) {
	if name := path.Base(r.URL.Path); r.Method == http.MethodGet && fileName.MatchString(name) {
		http.ServeFile(w, r, name)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || !signatureIsGood(r.Header, body) {
		http.Error(w, "the signature is not good", http.StatusUnauthorized)
		return
	}
	// Lists have several values under one name: fields["tags[]"].
	fields, err := url.ParseQuery(string(body))
	if err != nil {
		http.Error(w, "not a form", http.StatusBadRequest)
		return
	}
	if _, known := seen.LoadOrStore(fields.Get("event"), true); !known {
		log.Println(fields.Get("timestamp"), fields.Get("type"), fields.Get("recipient"))
	}
	fmt.Fprint(w, "thank you")
}

func main() {
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(handle)))
}
