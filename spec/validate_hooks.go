package spec

import "github.com/opencontainers/runtime-spec/specs-go"

// A HookList is one of the six lists of hooks.
type HookList struct {
	Name  string // as in the configuration
	Hooks []specs.Hook
}

// HookLists lists the hooks in the order of the lifecycle. It accepts nil.
func HookLists(h *specs.Hooks) [6]HookList {
	if h == nil {
		h = new(specs.Hooks)
	}
	return [6]HookList{
		{"prestart", h.Prestart},
		{"createRuntime", h.CreateRuntime},
		{"createContainer", h.CreateContainer},
		{"startContainer", h.StartContainer},
		{"poststart", h.Poststart},
		{"poststop", h.Poststop},
	}
}

func (v *validator) hooks(hooks *specs.Hooks) {
	for _, list := range HookLists(hooks) {
		for i, hook := range list.Hooks {
			where := at(member("hooks", list.Name), i)
			v.absolute(where+".path", hook.Path)
			for j, arg := range hook.Args {
				v.text(at(where+".args", j), arg)
			}
			v.env(where+".env", hook.Env)
			if hook.Timeout != nil && *hook.Timeout <= 0 {
				v.problem(where+".timeout", "%d is not a number of seconds greater than 0", *hook.Timeout)
			}
		}
	}
}
