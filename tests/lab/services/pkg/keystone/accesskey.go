// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package keystone

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// accessKey replaces the secret of a key by a text that was signed with it.
type accessKey struct {
	Algorithm string    `json:"algorithm"`
	AccessKey string    `json:"access_key"`
	Signature string    `json:"signature"`
	Request   string    `json:"request"`
	Location  string    `json:"location"`
	SignDate  time.Time `json:"sign_date"`
}

// signed reports whether the owner of the secret of this key signed the request.
func signed(given, key, secret string) bool {
	var claim accessKey
	if json.Unmarshal([]byte(given), &claim) != nil || claim.Algorithm != "AWS4-HMAC-SHA256" || claim.AccessKey != key {
		return false
	}
	sum := []byte("AWS4" + secret)
	for _, part := range []string{claim.SignDate.Format("20060102"), claim.Location, "s3", "aws4_request", claim.Request} {
		mac := hmac.New(sha256.New, sum)
		mac.Write([]byte(part))
		sum = mac.Sum(nil)
	}
	return claim.Signature == hex.EncodeToString(sum)
}
