package config

import "strings"

// keyName is a flag's key in the settings file: node-grace-period is
// nodeGracePeriod, end-of-rib-timeout is endOfRIBTimeout.
func keyName(flag string) string {
	words := strings.Split(flag, "-")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	// The initialisms that are not the first word.
	return strings.NewReplacer("Rib", "RIB", "Mtu", "MTU", "Vni", "VNI").Replace(strings.Join(words, ""))
}

// envName is a flag's environment variable: FAIRLEAD_NODE_GRACE_PERIOD.
func envName(flag string) string {
	return "FAIRLEAD_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// nearest is the candidate with the least edit distance to key; of equals the first.
func nearest(key string, candidates []string) string {
	best, least := "", int(^uint(0)>>1)
	for _, c := range candidates {
		if d := distance(strings.ToLower(key), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is Levenshtein's: insertions, deletions and substitutions, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
