// A handler in one file, with only Go's standard library: checks the signature, drops repeats, reads the event.
//
//	FEEDBACK_LOOP_SECRET=whsec_… go run handler.go 9000
//
// The loop's URL is then http://127.0.0.1:9000/. Put its verification file into the folder that you run it in.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
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
	key []byte
	// The same event may come twice, with the same id. A real handler uses a table with a unique column.
	seen             sync.Map
	verificationFile = regexp.MustCompile(`^feedback-loops-[0-9a-f]+\.txt$`)
)

// Standard Webhooks 1.0: HMAC-SHA256 over id, time and body. After a rotation, there are several signatures.
func signatureIsGood(header http.Header, body []byte) bool {
	timestamp := header.Get("webhook-timestamp")
	at, err := strconv.ParseInt(timestamp, 10, 64)
	// An old POST may be a replay of a recorded one.
	if err != nil || time.Since(time.Unix(at, 0)).Abs() > 5*time.Minute {
		return false
	}
	hash := hmac.New(sha256.New, key)
	fmt.Fprintf(hash, "%s.%s.%s", header.Get("webhook-id"), timestamp, body)
	expected := "v1," + base64.StdEncoding.EncodeToString(hash.Sum(nil))
	for _, signature := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(expected), []byte(signature)) {
			return true
		}
	}
	return false
}

// Returns the event's fields. In both formats, event["tags"] is a list.
func readEvent(contentType string, body []byte) (map[string]any, error) {
	event := map[string]any{}
	if strings.HasPrefix(contentType, "application/json") {
		if err := json.Unmarshal(body, &event); err != nil {
			return nil, err
		}
	} else {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		for name, values := range form {
			if list, isList := strings.CutSuffix(name, "[]"); isList {
				event[list] = values
			} else {
				event[name] = values[0]
			}
		}
	}
	if _, isText := event["event"].(string); !isText {
		return nil, errors.New("not an event")
	}
	return event, nil
}

// What happened to whom, and what to do about it. A real handler does it, or puts it into a queue.
func summary(event map[string]any) string {
	who, advice := event["recipient"], ""
	if who == nil {
		who = "nobody"
	}
	switch event["type"] {
	case "create", "update", "delete":
		who = fmt.Sprintf("profile %v/%v", event["database"], event["profile"])
	case "abuse", "unsubscribe":
		advice = ": send this person nothing more"
	case "bounce", "failure":
		// Other permanent failures, such as a policy of the receiving server, are not the address's fault.
		if fmt.Sprint(event["permanent"]) == "1" && (event["category"] == "address" || event["category"] == "domain") {
			advice = ": this address does not work"
		}
	}
	return fmt.Sprintf("%v %v %v%s", event["timestamp"], event["type"], who, advice)
}

func handle(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		// Serves the verification file, which verification requests, and no other file in the folder.
		if name := path.Base(r.URL.Path); verificationFile.MatchString(name) {
			http.ServeFile(w, r, name)
			return
		}
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || !signatureIsGood(r.Header, body) {
		http.Error(w, "invalid signature", http.StatusUnauthorized)
		return
	}
	event, err := readEvent(r.Header.Get("Content-Type"), body)
	if err != nil {
		http.Error(w, "not an event", http.StatusBadRequest)
		return
	}
	if _, known := seen.LoadOrStore(event["event"], true); !known {
		fmt.Println(summary(event))
	}
	fmt.Fprintln(w, "thank you")
}

func main() {
	var err error
	if key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("FEEDBACK_LOOP_SECRET"), "whsec_")); err != nil || len(key) == 0 {
		log.Fatal("FEEDBACK_LOOP_SECRET must be the loop's secret, whsec_…")
	}
	http.HandleFunc("/", handle)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
